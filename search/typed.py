"""Queries as people type them → what they may have meant, in the words of the collection."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from dotbogi.indexes.analyzer import Analyzer, corrected
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.korean.jamo import INITIALS, initials_of
from dotbogi.indexes.korean.keyboard import to_hangul, to_latin
from dotbogi.indexes.korean.repeats import without_repeats
from dotbogi.indexes.korean.synonyms import Synonyms
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.text import same_text_key

TOLERANCE = "keyboard,repeats,initials,spelling,synonyms"
STEPS = tuple(TOLERANCE.split(","))
NONE = "none"
MOST = 3  # corrections of a query, and words of initials in it
_LONGEST = 100  # characters of a query with initials
_SYLLABLES_ALL = 4

_LATIN_LETTERS = re.compile(r"[A-Za-z]+")
_LATIN_WORD = re.compile(r"[a-z]{2,}")
_WORDS = re.compile(r"\w+")
_HANGUL = re.compile(r"[가-힣ㄱ-ㅣ]{2,}")
_SYLLABLES = re.compile(r"[가-힣]+[ㅋㅎㅠㅜ]*")  # with a face behind them
_INITIALS = re.compile(rf"(?<![가-힣ㄱ-ㅣ])[{INITIALS}]{{2,}}(?:\s+[{INITIALS}]{{2,}})*(?![ㅏ-ㅣ])")

Value = TypeVar("Value")


def _once(compute: Callable[["Corrector"], Value]) -> Any:
    """Return a property that is computed when it is first used.

    Without the lock of functools.cached_property, which a fork could leave closed; two threads at
    most compute it twice.
    """
    name = f"_computed{compute.__name__}"

    def get(self: "Corrector") -> Value:
        if name not in self.__dict__:
            self.__dict__[name] = compute(self)
        value: Value = self.__dict__[name]
        return value

    return property(get, doc=compute.__doc__)


def steps_of(tolerance: str) -> tuple[str, ...]:
    """Return the steps that a setting names.

    Raises:
        UsageError: it names another one.
    """
    steps = () if tolerance == NONE else tuple(step.strip() for step in tolerance.split(","))
    for step in steps:
        if step not in STEPS:
            raise UsageError(f"tolerance {step!r}: expected none, or some of {','.join(STEPS)}.")
    return steps


class Corrector:
    """Finds what queries may have been meant to be; safe to use from many threads."""

    def __init__(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        analyzer: Analyzer,
        bm25: BM25Index,
        synonyms: Synonyms,
        steps: Iterable[str] = STEPS,
    ) -> None:
        """Make a corrector.

        Args:
            questions: the known questions. One of them is never corrected.
            answers: their words, like those of the questions, are what initials may stand for.
            analyzer: that of the collection.
            bm25: of the joined view, which has all words of the collection.
            synonyms: groups of words.
            steps: what is corrected, of STEPS.
        """
        self._questions = questions
        self._answers = answers
        self._analyzer = analyzer
        self._bm25 = bm25
        self._synonyms = synonyms
        self._steps = frozenset(steps)
        self._frequencies: dict[str, int] = {}

    def corrections(self, query: str) -> list[str]:
        """Return what to search for beside a query, the likeliest first; at most MOST texts."""
        if same_text_key(query) in self._known:
            return []
        text = query
        if "keyboard" in self._steps:
            text = self._in_other_state(text)
        if "repeats" in self._steps:
            text = without_repeats(text) or text
        texts = self._with_words(text) if "initials" in self._steps else [text]
        if "spelling" in self._steps and self._analyzer.name == "kiwi":
            texts = [corrected(text, self._analyzer.words) for text in texts]
        if "synonyms" in self._steps:
            texts = [self._with_synonyms(text) for text in texts]
        return [text for text in dict.fromkeys(texts) if _differs(text, query)][:MOST]

    def _frequency(self, word: str) -> int:
        """Return how many answers of the collection have all words of a text."""
        if word not in self._frequencies:
            tokens = [t for t in self._analyzer.tokenize([word])[0] if "/" in t]
            self._frequencies[word] = min(map(self._bm25.frequency, tokens), default=0)
        return self._frequencies[word]

    def _has_known(self, text: str) -> bool:
        """Return whether the collection has a word of a text; short ones are there by chance."""
        tokens = self._analyzer.tokenize([text])[0]
        return any(self._bm25.frequency(t) for t in tokens if t.find("/") > 1)

    def _is_latin(self, word: str) -> bool:
        return word.lower() in self._latin_words or word in self._synonyms

    @_once
    def _latin_words(self) -> frozenset[str]:
        texts = chain(self._questions, self._answers)
        return frozenset(word for text in texts for word in _LATIN_WORD.findall(text.lower()))

    def _in_other_state(self, text: str) -> str:
        """Return a text with what was typed in the wrong state of the keyboard."""
        words = _LATIN_LETTERS.findall(text)
        meant = {word: to_hangul(word) for word in words}
        korean = [word for word in words if _SYLLABLES.fullmatch(meant[word])]
        is_sure = 2 * len(korean) >= len(words) and any(
            not self._is_latin(word) and self._has_known(meant[word]) for word in korean
        )
        # Hardly any English makes so many syllables and leaves no letter over.
        is_sure |= len(korean) == len(words) and sum(len(meant[w]) for w in words) >= _SYLLABLES_ALL

        def hangul(match: re.Match[str]) -> str:
            return meant[match.group()] if match.group() in korean else match.group()

        def latin(match: re.Match[str]) -> str:
            meant = to_latin(match.group()).lower()
            return meant if self._is_latin(meant) else match.group()

        return _HANGUL.sub(latin, _LATIN_LETTERS.sub(hangul, text) if is_sure else text)

    def _with_words(self, text: str) -> list[str]:
        """Return the text with words in the place of initial consonants, the commonest first."""
        match = _INITIALS.search(text)
        if match is None or len(text) > _LONGEST:
            return [text]
        before, after = text[: match.start()], text[match.end() :]
        if whole := self._meant(match.group()):
            return [before + meant + after for meant in whole]
        words = match.group().split()
        # Each one looks through the words of the whole collection.
        meant = [(self._meant(word) or [word])[0] for word in words[:MOST]]
        return [before + " ".join([*meant, *words[MOST:]]) + after]

    def _meant(self, typed: str) -> list[str]:
        """Return what these initials may stand for: the commonest nouns of the collection.

        If there are fewer than MOST, beginnings of words follow, and of several words in a row.
        """
        letters = typed.replace(" ", "")
        if len(set(letters)) == 1:
            return []  # a face: ㅋㅋ
        nouns: list[str] = self._nouns.get(typed, [])[:MOST]
        if len(nouns) == MOST:
            return nouns
        texts, initials = self._phrases
        counts: Counter[str] = Counter()
        for found in re.finditer(r"(?<!\S)" + " ?".join(letters), initials):
            counts[texts[found.start() : found.end()]] += 1
        return list(dict.fromkeys([*nouns, *(meant for meant, _ in counts.most_common(MOST))]))[
            :MOST
        ]

    @_once
    def _known(self) -> frozenset[str]:
        return frozenset(map(same_text_key, self._questions))

    @_once
    def _nouns(self) -> dict[str, list[str]]:
        """Nouns of two syllables or more by their initials, those of most answers first."""
        counts = self._bm25.frequencies()
        by_initials: dict[str, list[str]] = {}
        for token in sorted(counts, key=lambda token: (-counts[token], token)):
            if token.endswith("/N") and len(token) > 3:
                by_initials.setdefault(initials_of(token[:-2]), []).append(token[:-2])
        return by_initials

    @_once
    def _phrases(self) -> tuple[str, str]:
        """All texts, one a line, and the same with initial consonants alone."""
        joined = "\n".join(" ".join(text.split()) for text in [*self._questions, *self._answers])
        return joined, initials_of(joined)

    def _with_synonyms(self, text: str) -> str:
        """Return the text with words of the collection for words that it does not have."""
        result, end = "", 0
        for found in self._synonyms.find(text):
            if self._frequency(found.word):
                continue
            best = max(found.others, key=self._frequency)
            if self._frequency(best):
                result += text[end : found.start] + best
                end = found.end
        return result + text[end:]


def _differs(text: str, query: str) -> bool:
    """Return whether a text has other words than a query; marks do not count."""
    words = _WORDS.findall(text)
    return bool(words) and words != _WORDS.findall(query)
