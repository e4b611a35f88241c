"""What Kiwi makes of a text that is spelled or spaced wrongly, and which words it does not know."""

import bisect
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dotbogi.indexes.analyzer import CONTENT_TAGS, kiwi, morphemes

_LONG = 6  # syllables; a longer run without a space may be several words
# Morphemes that Kiwi makes up have the number of their tag; those it knows come after these.
_MADE_UP = 100


@dataclass(frozen=True, slots=True)
class Word:
    """A run of letters between spaces, as it is typed, and its morphemes."""

    text: str
    morphemes: tuple[Any, ...]  # of Kiwi

    @property
    def is_made_up(self) -> bool:
        """Whether it has a noun that Kiwi does not know."""
        return any(map(is_made_up, self.morphemes))

    @property
    def begins_inside(self) -> bool:
        """Whether it begins with a particle, an ending or a suffix: a space is in a wrong place."""
        return bool(self.morphemes) and self.morphemes[0].tag.startswith(("J", "E", "XS"))

    @property
    def runs_on(self) -> bool:
        """Whether it is long and has a particle or an ending in its middle: spaces are missing."""
        tags = [morpheme.tag for morpheme in self.morphemes]
        return len(self.text) > _LONG and any(
            tag.startswith(("J", "E")) and following.startswith(CONTENT_TAGS)
            for tag, following in itertools.pairwise(tags)
        )

    @property
    def falls_apart(self) -> bool:
        """Whether a noun of one syllable follows a word of one: 해택 as 해 and 택."""
        short = [len(m.form) == 1 and m.tag[0] in "NVM" for m in self.morphemes]
        nouns = [m.tag.startswith("N") for m in self.morphemes]
        return any(map(all, zip(short, short[1:], nouns[1:], strict=False)))


def is_made_up(morpheme: Any) -> bool:
    """Return whether a morpheme of Kiwi is a noun that it does not know."""
    return morpheme.tag in ("NNG", "NNP") and bool(morpheme.id < _MADE_UP)


def words_of(text: str, dictionary: tuple[str, ...] = ()) -> list[Word]:
    """Return the words of a text with single spaces.

    Args:
        text: in NFC.
        dictionary: further words of Kiwi; see `Analyzer`.
    """
    words = text.split(" ")
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    by_word: list[list[Any]] = [[] for _ in words]
    for morpheme in morphemes(text.lower(), dictionary):
        number = bisect.bisect_right(ends, morpheme.start)
        by_word[min(number, len(words) - 1)].append(morpheme)
    return [Word(word, tuple(parts)) for word, parts in zip(words, by_word, strict=True)]


@lru_cache(maxsize=1 << 14)
def spelled(text: str, dictionary: tuple[str, ...] = ()) -> str:
    """Return a Korean text with Kiwi's corrections of spelling.

    Args:
        text: as typed, with single spaces.
        dictionary: further words, which are right as they are; see `Analyzer`.
    """
    words = text.split(" ")
    tokens = kiwi(dictionary).tokenize(text, typos="basic_with_continual_and_lengthening")
    if not any(token.typo_cost for token in tokens):
        return text
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    by_word: dict[int, list[Any]] = {}
    for token in tokens:
        by_word.setdefault(bisect.bisect_right(ends, token.start), []).append(token)
    for number, of_word in by_word.items():
        if any(token.typo_cost for token in of_word):
            words[number] = kiwi(dictionary).join(of_word)
    return " ".join(words)


def spaced(text: str, dictionary: tuple[str, ...] = ()) -> str:
    """Return a text with spaces in its long runs of letters."""
    words = text.split(" ")
    return " ".join(kiwi(dictionary).space(w) if len(w) > _LONG else w for w in words)


def respaced(text: str, dictionary: tuple[str, ...] = ()) -> str:
    """Return a text with all of its spaces anew."""
    again: str = kiwi(dictionary).space(text, reset_whitespace=True)
    return again


def unknown_words(
    texts: Sequence[str], dictionary: tuple[str, ...] = (), least: int = 3
) -> list[tuple[str, int]]:
    """Return nouns that Kiwi does not know, with the number of texts that have them.

    Args:
        texts: of a collection.
        dictionary: words that it knows beside its own; see `Analyzer`.
        least: texts that a noun has to stand in.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        found = kiwi(dictionary).tokenize(text)
        counts.update({morpheme.form for morpheme in found if is_made_up(morpheme)})
    return [(word, count) for word, count in counts.most_common() if count >= least]
