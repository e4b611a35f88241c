"""Topics and predicates of a collection, and one put in the place of another."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from training.morphemes import Change, Morph, kiwi
from training.predicates import Predicate, find_predicate, sentences

# Forms and tags of a noun or predicate: (("비밀", "NNG"), ("번호", "NNG")), (("취소", "NNG"), ("하", "XSV")).
Word = tuple[tuple[str, str], ...]

_CASES = {"JKS": "subject", "JKO": "object"}
_TOPIC_PARTICLES = ("은", "는", "도")
# Nouns that stand for a time, a quantity or anything at all: another in their place says nothing.
_NO_TOPIC = {
    "때", "일", "것", "점", "정도", "경우", "동안", "이번", "다음", "하나", "자신", "자기", "본인", "오늘", "내일", "어제",
    "지금", "요즘", "모두", "처음", "마지막", "이상", "필요", "번", "날", "거", "뒤", "앞", "후", "전", "안", "말", "속", "위",
}  # fmt: skip
# Verbs that say too little by themselves, stand for another, or are honorific in their stem.
_NO_PREDICATE = {
    "하", "되", "그러", "이러", "저러", "어쩌", "그렇", "이렇", "저렇", "어떻", "같", "있", "없", "아니", "말", "않", "싶",
    "나", "들", "지", "내", "드시", "계시", "주무시", "가지", "두", "놓", "대하", "위하", "따르", "안녕", "위", "대", "달", "치",
    "모르", "알", "보", "주", "드리", "통하", "관하", "의하", "당하", "시키", "이", "수고",
}  # fmt: skip
_REACH = 5  # morphemes between a noun and its predicate
_SIMILAR = 1000
_SYNONYMS = 3  # the most similar words of the collection may mean the same: they are left out
_WINDOW = 12


@dataclass(frozen=True, slots=True)
class Argument:
    """A noun with its particle: places of the noun's morphemes, its part in the sentence."""

    start: int
    end: int
    case: str  # subject, topic, object
    word: Word
    head: Word  # the predicate behind it; () if none is near


def arguments(morphs: Sequence[Morph]) -> Iterator[Argument]:
    """Yield the nouns that are subject, topic or object."""
    for end in range(1, len(morphs)):
        case = _case(morphs[end])
        if not case:
            continue
        start = end
        while start and morphs[start - 1].tag in ("NNG", "NNP"):
            start -= 1
            if morphs[start].spaced:
                break
        if start == end or not morphs[start].spaced:
            continue
        word = tuple((m.form, m.base) for m in morphs[start:end])
        if word[-1][0] not in _NO_TOPIC:
            yield Argument(start, end, case, word, _head(morphs, end + 1))


def _case(morph: Morph) -> str:
    if morph.tag == "JX" and morph.form in _TOPIC_PARTICLES:
        return "topic"
    return _CASES.get(morph.tag, "")


def _head(morphs: Sequence[Morph], start: int) -> Word:
    for at in range(start, min(start + _REACH, len(morphs))):
        if morphs[at].sentence != morphs[start].sentence:
            break
        if morphs[at].base in ("VV", "VA"):
            return ((morphs[at].form, morphs[at].base),)
        if morphs[at].base in ("XSV", "XSA"):
            return tuple((m.form, m.base) for m in morphs[at - 1 : at + 1])
    return ()


def main_verb(morphs: Sequence[Morph], predicate: Predicate) -> tuple[int, int] | None:
    """Return the places of the verb, adjective or noun + 하다/되다 that a predicate is about.

    Of 신청할 수 있어요 it is 신청하. None if that is a verb that says nothing by itself.
    """
    start, end = predicate.core, predicate.stem + 1
    if morphs[start].form in ("있", "없"):
        at = start - 1 if morphs[start - 1].tag[0] != "J" else start - 2
        if at - 2 < predicate.first or (morphs[at].form, morphs[at - 1].tag) != ("수", "ETM"):
            return None
        start = at - 2
        if morphs[start].base in ("XSV", "XSA") and start > predicate.first:
            start -= 1
    end = start + 1
    while end < predicate.end and morphs[end].base in ("NNG", "XR"):
        end += 1
    if end < predicate.end and morphs[end].base in ("XSV", "XSA"):
        end += 1
    last = morphs[end - 1]
    known = last.base in ("VV", "VA") or (last.base in ("XSV", "XSA") and end - start > 1)
    if not known or morphs[start].form in _NO_PREDICATE:
        return None
    return start, end


def put_word(morphs: Sequence[Morph], start: int, end: int, word: Word) -> Change:
    """Return the change that puts a word in the place of morphemes, spaced as they were."""
    new = (
        Morph(form, tag, spaced=morphs[start].spaced if i == 0 else False)
        for i, (form, tag) in enumerate(word)
    )
    return Change(start, end, tuple(new))


class Lexicon:
    """What the texts of a collection speak of: its topics, its predicates, which go together."""

    def __init__(self, texts: Sequence[Sequence[Morph]]) -> None:
        self._topics: dict[str, Counter[Word]] = defaultdict(Counter)  # by case
        self._topics_with: dict[tuple[str, Word], set[Word]] = defaultdict(set)  # by case and head
        self._predicates: dict[tuple[str, str], Counter[Word]] = defaultdict(Counter)
        self._predicates_with: dict[tuple[str, str, Word], set[Word]] = defaultdict(set)
        self._ranks: dict[Word, dict[tuple[str, str], int]] = {}
        for morphs in texts:
            self._read(morphs)

    def _read(self, morphs: Sequence[Morph]) -> None:
        for found in arguments(morphs):
            self._topics[found.case][found.word] += 1
            self._topics_with[found.case, found.head].add(found.word)
        for first, end in sentences(morphs):
            predicate = find_predicate(morphs, first, end)
            verb = predicate and main_verb(morphs, predicate)
            if verb:
                word, case, noun = self._verb_frame(morphs, *verb)
                self._predicates[_class(word), case][word] += 1
                self._predicates_with[_class(word), case, noun].add(word)

    def _verb_frame(self, morphs: Sequence[Morph], start: int, end: int) -> tuple[Word, str, Word]:
        """Return the verb, and the case and noun of what stands right before it, if anything."""
        word = tuple((m.form, m.tag) for m in morphs[start:end])
        before = start - 1
        while before > 0 and morphs[before].tag == "MAG":
            before -= 1
        if before < 1 or morphs[before].sentence != morphs[start].sentence:
            return word, "", ()
        noun = ((morphs[before - 1].form, morphs[before - 1].base),)
        if morphs[before].tag == "JKB":
            return word, morphs[before].form, noun
        return word, _case(morphs[before]) or morphs[before].tag[:1], noun

    def topics(self, argument: Argument, random: Random, count: int) -> list[Word]:
        """Return other nouns for an argument: of its case, by preference with its predicate."""
        seen = self._topics_with[argument.case, argument.head] if argument.head else set()
        pool = {
            w: n for w, n in self._topics[argument.case].items() if w[-1][1] == argument.word[-1][1]
        }
        return self._choose(argument.word, seen, pool, random, count)

    def predicates(
        self, morphs: Sequence[Morph], start: int, end: int, random: Random, count: int
    ) -> list[Word]:
        """Return other verbs of the same kind: seen with the same case, preferably same noun."""
        word, case, noun = self._verb_frame(morphs, start, end)
        seen = self._predicates_with[_class(word), case, noun]
        return self._choose(word, seen, self._predicates[_class(word), case], random, count)

    def _choose(
        self, word: Word, seen: set[Word], pool: dict[Word, int], random: Random, count: int
    ) -> list[Word]:
        """Return up to `count` words at random: half of the places from those seen in its company.

        The rest comes from the pool's words most similar in meaning and frequency, without the
        very nearest.
        """
        ranks = self._similar(word)
        synonyms = set(sorted(ranks, key=ranks.__getitem__)[:_SYNONYMS])
        company = sorted(w for w in seen if w in pool and w != word and w[0] not in synonyms)
        frequency = math.log(pool.get(word, 1))

        def distance(other: Word) -> tuple[int, float, Word]:
            rank = ranks.get((other[0][0], other[0][1].split("-")[0]), _SIMILAR)
            return rank, abs(math.log(pool[other]) - frequency), other

        others = sorted((w for w in pool if w != word), key=distance)
        near = others[_SYNONYMS : _SYNONYMS + _WINDOW] or others
        chosen = random.sample(company, min(count, len(company)))
        chosen += random.sample(near, min(count, len(near)))
        return list(dict.fromkeys(chosen))[:count]

    def _similar(self, word: Word) -> dict[tuple[str, str], int]:
        """Return morphemes that Kiwi's language model finds similar, with their ranks."""
        if word not in self._ranks:
            form, tag = word[0] if word[-1][1].startswith("XS") else word[-1]
            self._ranks[word] = similar(form, tag)
        return self._ranks[word]


def similar(form: str, tag: str) -> dict[tuple[str, str], int]:
    """Return the morphemes most similar in meaning, with ranks from 0; {} for unknown ones."""
    try:
        found = kiwi().most_similar_morphemes((form, tag), top_n=_SIMILAR)
    except (ValueError, KeyError):
        return {}
    return {(m.form, m.tag.split("-")[0]): rank for rank, m in enumerate(found)}


def _class(word: Word) -> str:
    """Return what another predicate has to share: its tag, and 하다 or 되다."""
    form, tag = word[-1]
    return f"{form}/{tag}" if tag.startswith("XS") else tag.split("-")[0]
