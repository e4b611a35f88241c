"""Queries as people type them → what they may have meant, in the words of the collection."""

import re
from collections.abc import Iterable, Sequence

from dotbogi.indexes.analyzer import CONTENT_TAGS, Analyzer
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.korean.jamo import INITIALS
from dotbogi.indexes.korean.keyboard import to_hangul, to_latin
from dotbogi.indexes.korean.repeats import without_repeats
from dotbogi.indexes.korean.spelling import Word, is_made_up, respaced, spaced, spelled, words_of
from dotbogi.indexes.korean.synonyms import Synonyms
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.text import same_text_key
from dotbogi.search.vocabulary import MOST, Vocabulary

TOLERANCE = "keyboard,repeats,initials,abbreviations,spacing,spelling,synonyms"
STEPS = tuple(TOLERANCE.split(","))
NONE = "none"
_LONGEST = 100  # characters of a query with initials
_LONGEST_NOUN = 6  # syllables
_SURE_SYLLABLES = 4
_ENOUGH_UNKNOWN = 2

_LATIN_LETTERS = re.compile(r"[A-Za-z]+")
_WORDS = re.compile(r"\w+")
_SYLLABLE = re.compile(r"[가-힣]")
_HANGUL = re.compile(r"([가-힣ㄱ-ㅣ]{2,}?)([ㅋㅎㅠㅜ]{2,})?(?![가-힣ㄱ-ㅣ])")  # a face behind it
# A vowel on its own with letters behind it, which no Korean word has, unless it is a face.
_NO_KOREAN = re.compile(r"[ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅛㅣ][가-힣ㄱ-ㅎ]|[가-힣][ㅐㅑㅒㅓㅔㅕㅖㅛㅣ][ㄱ-ㅎ]")
_SYLLABLES = re.compile(r"[가-힣]+[ㅋㅎㅠㅜ]*")  # with a face behind them
_INITIALS = re.compile(rf"(?<![가-힣ㄱ-ㅣ])[{INITIALS}]{{2,}}(?:\s+[{INITIALS}]{{2,}})*(?![ㅏ-ㅣ])")


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
        known: frozenset[str],
        texts: Sequence[str],
        analyzer: Analyzer,
        bm25: BM25Index,
        synonyms: Synonyms,
        steps: Iterable[str] = STEPS,
    ) -> None:
        """Make a corrector.

        Args:
            known: the known questions, normalised. One of them is never corrected.
            texts: known questions and answers. Their words are what a query may mean.
            analyzer: that of the collection.
            bm25: of the joined view, which has all words of the collection.
            synonyms: groups of words.
            steps: what is corrected, of STEPS.
        """
        self._analyzer = analyzer
        self._bm25 = bm25
        self._synonyms = synonyms
        self._steps = frozenset(steps)
        self._known = known
        self._vocabulary = Vocabulary(texts, bm25, synonyms.words)
        # Of words that have synonyms, whose number is bounded.
        self._frequencies: dict[str, int] = {}
        self._found: dict[str, bool] = {}

    def corrections(self, query: str) -> list[str]:
        """Return what to search for beside a query, the likeliest first; at most MOST texts."""
        if same_text_key(query) in self._known:
            return []
        text = " ".join(query.split())
        if "keyboard" in self._steps:
            text = self._in_other_state(text)
        if "repeats" in self._steps:
            text = without_repeats(text) or text
        texts = self._with_words(text) if "initials" in self._steps else [text]
        if len(texts) == 1 and self._analyzer.name == "kiwi" and _SYLLABLE.search(text):
            texts = self._in_right_form(texts[0])
        if "synonyms" in self._steps:
            texts = [self._with_synonyms(text) for text in dict.fromkeys(texts)]
        return [text for text in dict.fromkeys(texts) if _differs(text, query)][:MOST]

    def _frequency(self, word: str) -> int:
        """Return how many answers of the collection have all words of a text."""
        if word not in self._frequencies:
            tokens = [t for t in self._analyzer.tokenize([word])[0] if "/" in t]
            self._frequencies[word] = min(map(self._bm25.frequency, tokens), default=0)
        return self._frequencies[word]

    def _has(self, word: str) -> bool:
        """Return whether the collection has a word, as it is written or as a compound."""
        if word not in self._found:
            self._found[word] = self._is_found(word)
        return self._found[word]

    def _is_found(self, word: str) -> bool:
        # Tokens alone do not tell: Kiwi takes 겜 for 것 and finds 미 in 미먼.
        if not self._frequency(word):
            return False
        forms = [t.split("/")[0] for t in self._analyzer.tokenize([word])[0] if "/" in t]
        is_compound = all(len(form) > 1 and form in word for form in forms)
        return is_compound or self._vocabulary.stands(word)

    def _has_known(self, text: str) -> bool:
        """Return whether the collection has a word of a text; short ones are there by chance."""
        tokens = self._analyzer.tokenize([text])[0]
        return any(self._bm25.frequency(t) for t in tokens if t.find("/") > 1)

    def _in_other_state(self, text: str) -> str:
        """Return a text with what was typed in the wrong state of the keyboard."""
        words = _LATIN_LETTERS.findall(text)
        meant = {word: to_hangul(word) for word in words}
        korean = [word for word in words if _SYLLABLES.fullmatch(meant[word])]
        is_sure = 2 * len(korean) >= len(words) and any(
            not self._vocabulary.is_latin(word) and self._has_known(meant[word]) for word in korean
        )
        # Hardly any English makes so many syllables and leaves no letter over.
        is_sure |= (
            len(korean) == len(words) and sum(len(meant[w]) for w in words) >= _SURE_SYLLABLES
        )

        def hangul(match: re.Match[str]) -> str:
            return meant[match.group()] if match.group() in korean else match.group()

        def latin(match: re.Match[str]) -> str:
            for typed, face in ((match.group(), ""), (match[1], match[2] or "")):
                meant = self._vocabulary.latin(typed)
                if meant is None and _NO_KOREAN.search(typed):
                    meant = to_latin(typed).lower()
                if meant and meant.isascii():
                    return meant + face
            return match.group()

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
        """Return what these initials may stand for: by convention, or words of the collection."""
        letters = typed.replace(" ", "")
        if len(set(letters)) == 1:
            return []  # a face: ㅋㅋ
        half = letters[: len(letters) // 2]
        is_doubled = half + half == letters and len(half) > 1
        others = self._synonyms.others(half if is_doubled else letters)
        usual = [*filter(self._has, others), *others][:1]
        if is_doubled and usual:
            return usual  # ㄱㅅㄱㅅ is chat, and no word
        return list(dict.fromkeys([*usual, *self._vocabulary.with_initials(typed)]))[:MOST]

    def _in_right_form(self, text: str) -> list[str]:
        """Return a text with right spelling and spaces, and what else it may be."""
        words = words_of(text, self._analyzer.words)
        is_odd = any(map(self._is_odd, words))
        texts = [self._spelled(text, is_odd, runs_on=any(word.runs_on for word in words))]
        if "abbreviations" in self._steps:
            texts.append(" ".join(map(self._unclipped, words)))
        if "spacing" in self._steps and _is_badly_spaced(words):
            again = respaced(text, self._analyzer.words)
            if 2 * len(again.split(" ")) >= len(words):  # else a word that Kiwi does not know
                texts.append(self._spelled(again, is_odd=True, runs_on=False))
        if "spelling" in self._steps and is_odd:
            texts.append(self._with_nearest(texts[0]))
        return texts

    def _spelled(self, text: str, is_odd: bool, runs_on: bool) -> str:
        if "spelling" in self._steps and is_odd:
            text = spelled(text, self._analyzer.words)
        return spaced(text, self._analyzer.words) if "spacing" in self._steps and runs_on else text

    def _is_odd(self, word: Word) -> bool:
        """Return whether a word may be misspelled: the collection does not have all of it."""
        return word.falls_apart or any(
            not self._bm25.frequency(f"{morpheme.form}/{morpheme.tag[0]}")
            for morpheme in word.morphemes
            if morpheme.tag.startswith(CONTENT_TAGS)
        )

    def _unclipped(self, word: Word) -> str:
        """Return a word with a compound in the place of two syllables that it begins with."""
        clip = word.text[:2]
        if len(clip) < 2 or not word.morphemes or self._vocabulary.is_noun(clip):
            return word.text
        first, *others = word.morphemes
        is_made_up_whole = is_made_up(first) and first.form == clip
        # Kiwi makes other words of the two: 현 and 영 of 현영, for 현금영수증.
        falls_apart = bool(others) and all(
            len(part.form) == 1 and part.tag.startswith(CONTENT_TAGS) for part in (first, others[0])
        )
        if not is_made_up_whole and not falls_apart:
            return word.text
        compound = self._vocabulary.clipped(clip)
        return compound + word.text[2:] if compound else word.text

    def _with_nearest(self, text: str) -> str:
        """Return a text with nouns of the collection for nouns that nobody knows."""
        words = words_of(text, self._analyzer.words)
        return " ".join(
            self._nearest(word.text) if any(map(is_made_up, word.morphemes)) else word.text
            for word in words
        )

    def _nearest(self, word: str) -> str:
        """Return a word with nouns of the collection for parts of it that are a stroke apart."""
        done, at = "", 0
        while at < len(word):
            for length in range(min(_LONGEST_NOUN, len(word) - at), 1, -1):
                part = word[at : at + length]
                noun = part if self._vocabulary.is_noun(part) else self._vocabulary.nearest(part)
                if noun:
                    done, at = done + noun, at + length
                    break
            else:
                done, at = done + word[at], at + 1
        return done

    def _with_synonyms(self, text: str) -> str:
        """Return the text with words of the collection for words that it does not have."""
        result, end = "", 0
        for found in self._synonyms.find(text):
            if self._has(found.word):
                continue
            there = [other for other in found.others if self._has(other)]
            if there:
                result += text[end : found.start] + max(there, key=self._frequency)
                end = found.end
        return result + text[end:]


def _is_badly_spaced(words: Sequence[Word]) -> bool:
    """Return whether spaces seem to be in wrong places."""
    unknown = sum(is_made_up(morpheme) for word in words for morpheme in word.morphemes)
    return any(word.begins_inside for word in words[1:]) or unknown >= _ENOUGH_UNKNOWN


def _differs(text: str, query: str) -> bool:
    """Return whether a text has other words than a query; marks do not count."""
    words = _WORDS.findall(text)
    return bool(words) and words != _WORDS.findall(query)
