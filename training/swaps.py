"""Topics and predicates of a collection, and one put in the place of another."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from training.endings import wish
from training.morphemes import Change, Morph, kiwi
from training.predicates import Predicate, find_predicate, sentences

# Forms and tags of a noun or predicate: (("비밀", "NNG"), ("번호", "NNG")).
Word = tuple[tuple[str, str], ...]

_CASE_NAMES = ("subject", "topic", "object")
_CASES = {"JKS": "subject", "JKO": "object"}
_TOPIC_PARTICLES = ("은", "는", "도")
# Nouns that stand for a time, a quantity or anything at all: another in their place says nothing.
_NO_TOPIC = {
    "때", "일", "것", "점", "정도", "경우", "동안", "이번", "다음", "하나", "자신", "자기", "본인", "오늘", "내일",
    "어제", "지금", "요즘", "모두", "처음", "마지막", "이상", "필요", "번", "날", "거", "뒤", "앞", "후", "전", "안",
    "말", "속", "위", "한동안", "당분간", "평소", "나중", "다음번",
}  # fmt: skip
# Verbs that say too little by themselves, stand for another, or are honorific in their stem.
_NO_PREDICATE = {
    "하", "되", "그러", "이러", "저러", "어쩌", "그렇", "이렇", "저렇", "어떻", "같", "있", "없", "아니", "말", "않",
    "싶", "나", "들", "지", "내", "드시", "계시", "주무시", "가지", "두", "놓", "대하", "위하", "따르", "안녕", "위",
    "대", "달", "치", "모르", "알", "보", "주", "드리", "통하", "관하", "의하", "당하", "시키", "이", "수고", "바라",
    "아무렇", "아무래",
}  # fmt: skip
# Verbs that make one expression with a few nouns (실감이 나다, 꿈을 꾸다): only those are put in.
_LIGHT = {"하", "되", "나", "들", "내", "꾸", "걸리", "짓", "추", "치", "서", "취하", "가지", "갖"}
_QUOTING = {"라", "라고", "다고", "ᆫ다고", "는다고", "자고", "냐고"}
_REACH = 5  # morphemes between a noun and its predicate
_SYNONYMS = 3  # the most similar words of the collection may mean the same: they are left out
_WINDOW = 12
_ENOUGH = 30  # words seen more than once
_OBJECT = " with object"
_AROUND = 200  # words of a pool, on either side by frequency, that are compared in meaning


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
        if start and morphs[start - 1].tag in ("NNG", "NNP"):
            continue  # 역할 분담을: the two are one name
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
    if start and (morphs[start - 1].tag == "JKQ" or morphs[start - 1].form in _QUOTING):
        return None  # few verbs take what was said or thought
    if last.base in ("VA", "XSA") and morphs[predicate.stem].form in ("보", "주"):
        return None  # an adjective used as a verb (행복해 봐요): few others can be
    known = last.base in ("VV", "VA") or (last.base in ("XSV", "XSA") and end - start > 1)
    if not known or not morphs[start].spaced or morphs[start].form in _NO_PREDICATE:
        return None
    return start, end


def put_word(morphs: Sequence[Morph], start: int, end: int, word: Word) -> Change:
    """Return the change that puts a word in the place of morphemes, spaced as they were."""
    new = (
        Morph(form, tag, spaced=morphs[start].spaced if i == 0 else False)
        for i, (form, tag) in enumerate(word)
    )
    return Change(start, end, tuple(new))


class _Pool:
    """Words that may take each other's place, with how often they were seen."""

    def __init__(self) -> None:
        self.counts: Counter[Word] = Counter()
        self._ordered: list[Word] = []
        self._places: dict[Word, int] = {}
        self._ranked: dict[Word, list[Word]] = {}

    def close(self) -> None:
        """Order the words; none is added after this. In a large pool words seen once are noise."""
        often = Counter({word: count for word, count in self.counts.items() if count > 1})
        if len(often) >= _ENOUGH:
            self.counts = often
        self._ordered = sorted(self.counts, key=lambda word: (-self.counts[word], word))
        self._places = {word: place for place, word in enumerate(self._ordered)}

    def ranked(self, word: Word) -> list[Word]:
        """Return words about as frequent as this one, the most similar in meaning first."""
        if word not in self._ranked:
            place = self._places.get(word, len(self._ordered))
            around = self._ordered[max(0, place - _AROUND) : place + _AROUND]
            sense = _sense(word)
            self._ranked[word] = sorted(
                (other for other in around if other != word),
                key=lambda other: (-similarity(sense, _sense(other)), other),
            )
        return self._ranked[word]


class Lexicon:
    """What the texts of a collection speak of: its topics, its predicates, which go together."""

    def __init__(self, texts: Sequence[Sequence[Morph]]) -> None:
        # A frame is what a word has to share with another to take its place: for a noun its tag
        # and case, for a predicate its class, what stands before it, and whether it was commanded.
        self._pools: dict[tuple[str, ...], _Pool] = defaultdict(_Pool)
        self._company: dict[tuple[tuple[str, ...], Word], set[Word]] = defaultdict(set)
        self._with_object: dict[Word, list[int]] = defaultdict(lambda: [0, 0])  # without, with
        for morphs in texts:
            self._read(morphs)
        for pool in self._pools.values():
            pool.close()

    def _read(self, morphs: Sequence[Morph]) -> None:
        for noun in arguments(morphs):
            self._add(_noun_frame(noun), noun.word, noun.head)
        for first, end in sentences(morphs):
            predicate = find_predicate(morphs, first, end)
            verb = predicate and main_verb(morphs, predicate)
            if predicate and verb:
                word, frame, company = _verb_frame(morphs, predicate, *verb)
                self._add(frame, word, company)
                self._with_object[word][frame[0].endswith(_OBJECT)] += 1
                if frame[-1]:  # what can be commanded can be told as well
                    self._add((*frame[:-1], ""), word, company)

    def _add(self, frame: tuple[str, ...], word: Word, company: Word) -> None:
        self._pools[frame].counts[word] += 1
        if company:
            self._company[frame, company].add(word)

    def topics(
        self, morphs: Sequence[Morph], noun: Argument, random: Random, count: int
    ) -> list[Word]:
        """Return other nouns of the same case, preferably seen with the same predicate."""
        return self._choose(morphs, _noun_frame(noun), noun.word, noun.head, random, count)

    def predicates(
        self,
        morphs: Sequence[Morph],
        predicate: Predicate,
        place: tuple[int, int],
        random: Random,
        count: int,
    ) -> list[Word]:
        """Return other verbs of the same kind and frame, preferably seen with the same noun."""
        word, frame, company = _verb_frame(morphs, predicate, *place)
        return self._choose(morphs, frame, word, company, random, count)

    def _choose(
        self,
        morphs: Sequence[Morph],
        frame: tuple[str, ...],
        word: Word,
        company: Word,
        random: Random,
        count: int,
    ) -> list[Word]:
        """Return up to `count` words at random: from those seen in its company, then near ones.

        What may mean the same is left out, and what is in the text already.
        """
        if frame not in self._pools:
            return []
        pool = self._pools[frame]
        ranked = pool.ranked(word)
        synonyms = {_sense(w) for w in ranked[:_SYNONYMS]} if len(ranked) > _WINDOW else set()
        light = bool(company) and frame[-1] in _CASE_NAMES and company[0][0] in _LIGHT
        here = {m.form for m in morphs}
        lists = (  # what is often said of the same noun is a small set: half of the places at most
            (self._company.get((frame, company), set()) & pool.counts.keys(), max(1, count // 2)),
            ([] if light else ranked[: _SYNONYMS + _WINDOW], count),
        )
        chosen: list[Word] = []
        for words, most in lists:
            fit = sorted(
                w
                for w in words
                if self._transitive(w) == self._transitive(word)
                and not (_sense(w) in synonyms or _related(w, word) or _sense(w)[0] in here)
            )
            chosen += random.sample(fit, min(most, len(fit)))
        return list(dict.fromkeys(chosen))[:count]

    def _transitive(self, word: Word) -> bool:
        """Return True for a predicate seen with an object at least a quarter of the time."""
        without, with_object = self._with_object.get(word, (1, 0))
        return 3 * with_object >= without  # objects are often left out


def _sense(word: Word) -> tuple[str, str]:
    """Return the morpheme that has the meaning: 취소 of 취소하, 번호 of 비밀번호."""
    form, tag = word[-2] if word[-1][1].startswith("XS") and len(word) > 1 else word[-1]
    return form, tag.split("-")[0]


def _related(one: Word, other: Word) -> bool:
    """Return True if one word ends in the other (오다, 돌아오다): often they mean the same."""
    a, b = ("".join(form for form, _ in word) for word in (one, other))
    return a.endswith(b) or b.endswith(a)


def _noun_frame(noun: Argument) -> tuple[str, ...]:
    return noun.word[-1][1], noun.case


def _verb_frame(
    morphs: Sequence[Morph], predicate: Predicate, start: int, end: int
) -> tuple[Word, tuple[str, ...], Word]:
    """Return the verb, its frame, and the noun right before it, if there is one."""
    word = tuple((m.form, m.tag) for m in morphs[start:end])
    form, tag = word[-1]
    kind = f"{form}/{tag}" if tag.startswith("XS") else tag.split("-")[0]
    # 해 보세요, 할게요, 해 줘요: only what one can will to do
    willed = bool(wish(predicate.family)) or morphs[predicate.stem].form in ("보", "주", "드리")
    commanded = "commanded" if willed else ""
    if _has_object(morphs, predicate.first, start):
        kind += _OBJECT
    before = start - 1
    while before > predicate.first and morphs[before].tag == "MAG":
        before -= 1
    if before <= predicate.first:
        return word, (kind, "", commanded), ()
    particle, noun = morphs[before], ((morphs[before - 1].form, morphs[before - 1].base),)
    case = _case(particle) or (
        f"{particle.form}/{particle.base}" if particle.tag[0] in "JE" else particle.tag[:1]
    )
    return word, (kind, case, commanded), noun


def _has_object(morphs: Sequence[Morph], first: int, verb: int) -> bool:
    """Return True if the clause of a verb has an object before it."""
    for at in range(verb - 1, first - 1, -1):
        if morphs[at].tag in ("EC", "ETM", "EF"):
            return False
        if morphs[at].tag == "JKO":
            return True
    return False


def similarity(one: tuple[str, str], other: tuple[str, str]) -> float:
    """Return the cosine of two morphemes in Kiwi's language model; 0 for unknown ones."""
    try:
        return float(kiwi().morpheme_similarity(one, other))
    except (ValueError, KeyError):
        return 0.0
