"""The words of a collection, found by what people type in their place."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from dotbogi.indexes.korean.jamo import INITIALS, initials_of, strokes_of
from dotbogi.indexes.korean.keyboard import to_hangul
from dotbogi.indexes.lexical import BM25Index

MOST = 3  # words for the same initials
_LEAST_STROKES = 5  # of a word that is looked up with a slip in it: shorter ones resemble too many
_RUN = re.compile(r"[가-힣]+|[^가-힣\s]+")
_LATIN_WORD = re.compile(r"[a-z]{2,}")
_LONGEST_NOUN = 4  # syllables of a noun in a compound

Value = TypeVar("Value")


def _once(compute: Callable[["Vocabulary"], Value]) -> Any:
    """Return a property that is computed when it is first used.

    Without the lock of functools.cached_property, which a fork could leave closed; two threads at
    most compute it twice.
    """
    name = f"_computed{compute.__name__}"

    def get(self: "Vocabulary") -> Value:
        if name not in self.__dict__:
            self.__dict__[name] = compute(self)
        value: Value = self.__dict__[name]
        return value

    return property(get, doc=compute.__doc__)


class Vocabulary:
    """Finds words of a collection; safe to use from many threads."""

    def __init__(self, texts: Sequence[str], bm25: BM25Index, synonyms: Iterable[str] = ()) -> None:
        """Make a vocabulary.

        Args:
            texts: known questions and answers.
            bm25: of the joined view, which has all tokens of these texts.
            synonyms: words that may be typed as well; Latin ones count as the collection's.
        """
        self._texts = texts
        self._synonyms = synonyms
        self._bm25 = bm25
        self._standing: dict[str, bool] = {}

    def is_latin(self, word: str) -> bool:
        """Return whether a Latin word stands in a text, or is a synonym."""
        return word.lower() in self._latin_words

    def latin(self, typed: str) -> str | None:
        """Return the Latin word that makes these letters in the Hangul state of the keyboard."""
        word: str | None = self._latin_words_in_hangul.get(typed)
        return word

    def stands(self, word: str) -> bool:
        """Return whether a text has a word that begins with these letters."""
        if word not in self._standing:
            self._standing[word] = f" {word.lower()}" in self._letters
        return self._standing[word]

    def is_noun(self, word: str) -> bool:
        """Return whether the collection has a noun."""
        return self._bm25.frequency(f"{word}/N") > 0

    def with_initials(self, typed: str) -> list[str]:
        """Return what initial consonants may stand for, at most MOST texts.

        The commonest nouns come first. If there are fewer than MOST, beginnings of words follow,
        and of several words in a row.
        """
        nouns: list[str] = self._nouns_by_initials.get(typed, [])[:MOST]
        if len(nouns) == MOST:
            return nouns
        texts, initials = self._phrases
        counts: Counter[str] = Counter()
        letters = typed.replace(" ", "")
        for found in re.finditer(r"(?<!\S)" + " ?".join(letters), initials):
            counts[texts[found.start() : found.end()]] += 1
        phrases = (meant for meant, _ in counts.most_common(MOST))
        return list(dict.fromkeys([*nouns, *phrases]))[:MOST]

    def clipped(self, typed: str) -> str | None:
        """Return the commonest compound of two nouns that begin with these two syllables.

        Korean clips compounds to the first syllable of each part: 미먼 for 미세먼지.
        """
        compound: str | None = self._compounds.get(typed)
        return compound

    def nearest(self, typed: str) -> str | None:
        """Return the commonest noun that is one key stroke away from a word; None if none is."""
        strokes = strokes_of(typed)
        if len(strokes) < _LEAST_STROKES:
            return None
        near = {
            noun: self._bm25.frequency(f"{noun}/N")
            for key in _halves(strokes, range(len(strokes) - 1, len(strokes) + 2))
            for noun in self._nouns_by_half.get(key, ())
            if _is_one_stroke_away(strokes, strokes_of(noun))
        }
        return max(near, key=lambda noun: (near[noun], noun)) if near else None

    @_once
    def _latin_words(self) -> frozenset[str]:
        texts = chain(self._texts, filter(str.isascii, self._synonyms))
        return frozenset(word for text in texts for word in _LATIN_WORD.findall(text.lower()))

    @_once
    def _latin_words_in_hangul(self) -> dict[str, str]:
        """Without what is all consonants (ad as ㅁㅇ): those are initials."""
        typed = {to_hangul(word): word for word in sorted(self._latin_words)}
        return {hangul: word for hangul, word in typed.items() if not set(hangul) <= set(INITIALS)}

    @_once
    def _letters(self) -> str:
        return " " + " ".join(word for text in self._texts for word in text.lower().split())

    @_once
    def _nouns(self) -> list[str]:
        """Nouns of two syllables or more, those of most texts first."""
        counts = self._bm25.frequencies()
        tokens = sorted(counts, key=lambda token: (-counts[token], token))
        return [token[:-2] for token in tokens if token.endswith("/N") and len(token) > 3]

    @_once
    def _nouns_by_initials(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for noun in self._nouns:
            found.setdefault(initials_of(noun), []).append(noun)
        return found

    @_once
    def _nouns_by_half(self) -> dict[tuple[int, int, str], list[str]]:
        found: dict[tuple[int, int, str], list[str]] = {}
        for noun in self._nouns:
            strokes = strokes_of(noun)
            if len(strokes) >= _LEAST_STROKES:
                for key in _halves(strokes, [len(strokes)]):
                    found.setdefault(key, []).append(noun)
        return found

    @_once
    def _compounds(self) -> dict[str, str]:
        """The commonest compound by the first syllables of its two nouns."""
        nouns = frozenset(self._nouns)
        counts = Counter(found for text in self._texts for found in _compounds_in(text, nouns))
        best: dict[str, str] = {}
        for (key, compound), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            best.setdefault(key, compound)
        return best

    @_once
    def _phrases(self) -> tuple[str, str]:
        """All texts, one a line, and the same with initial consonants alone."""
        joined = "\n".join(" ".join(text.split()) for text in self._texts)
        return joined, initials_of(joined)


def _compounds_in(text: str, nouns: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the compounds of two nouns in a text, written as one word or two, by their clip."""
    runs = _RUN.findall(text)
    for run, following in zip(runs, [*runs[1:], ""], strict=True):
        first = _noun_at_start(run, nouns)
        if len(first) == _LONGEST_NOUN:
            yield first[0] + first[2], first
        rest = run[len(first) :]
        second = _noun_at_start(rest or following, nouns) if first else ""
        if second:
            yield first[0] + second[0], first + ("" if rest else " ") + second


def _noun_at_start(run: str, nouns: frozenset[str]) -> str:
    lengths = range(min(_LONGEST_NOUN, len(run)), 1, -1)
    return next((run[:length] for length in lengths if run[:length] in nouns), "")


def _halves(strokes: str, lengths: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Yield keys of which two words share one if they are one stroke apart.

    A slip leaves one half of a word as it is. A key is the length of the word, which half it is,
    and the half.
    """
    for length in lengths:
        middle = length // 2
        yield length, 0, strokes[:middle]
        yield length, 1, strokes[len(strokes) - (length - middle) :]


def _is_one_stroke_away(one: str, other: str) -> bool:
    """Return whether a stroke replaced, added or left out makes one text the other."""
    shorter, longer = sorted((one, other), key=len)
    if shorter == longer or len(longer) - len(shorter) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), None)
    if at is None:
        return True
    skip = 1 if len(shorter) == len(longer) else 0
    return shorter[at + skip :] == longer[at + 1 :]
