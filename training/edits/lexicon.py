"""What a collection speaks of: which nouns and predicates may take each other's place."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random

from training.edits.endings import wish
from training.edits.morphemes import Morph, kiwi
from training.edits.predicates import Predicate, find_predicate, sentences
from training.edits.swaps import Argument, Word, arguments, case_of, main_verb

# Verbs that make one expression with a few nouns (실감이 나다, 꿈을 꾸다): only those are put in.
_LIGHT = {"하", "되", "나", "들", "내", "꾸", "걸리", "짓", "추", "치", "서", "취하", "가지", "갖"}
_SYNONYMS = 3  # the most similar words of the collection may mean the same: they are left out
_WINDOW = 12
_ENOUGH = 30  # words seen more than once
_OBJECT = " with object"
_AROUND = 200  # words of a pool, on either side by frequency, that are compared in meaning
_CASE_NAMES = ("subject", "topic", "object")


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
    case = case_of(particle) or (
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
