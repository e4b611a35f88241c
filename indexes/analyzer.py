"""Text → tokens for BM25: Kiwi content morphemes, Snowball stems, character n-grams."""

import hashlib
import importlib.metadata
import os
import re
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, get_args

AnalyzerName = Literal["kiwi", "bigram", "whitespace"]

# Nouns, pronouns, numerals, verbs, adjectives, roots, adverbs, determiners, interjections, Chinese
# characters. Latin words and digits are taken from the text itself, with or without Kiwi.
CONTENT_TAGS = ("N", "VV", "VA", "XR", "M", "IC", "SH")
_RUN = re.compile(r"[a-z\d]+|[^\W_a-z\d]+")  # 5g로 → 5g, 로: particles attach to any word
_PART = re.compile(r"[a-z]+|\d+")
_ENGLISH_STOP_WORDS = frozenset(
    """
    a an and are as at be but by for from has have he i in is it its me my of on or our she so
    that the their them they this to was we were will with you your
    """.split()  # noqa: SIM905 – a list would take forty lines
)


class Analyzer:
    """Turns texts into BM25 tokens, both for building an index and for its queries.

    `kiwi` (default) gives words and n-grams. Words are the lemmas of content morphemes, Snowball
    stems of Latin words, and numbers, each with the first letter of its tag: 배송/N, window/S.
    N-grams are the character bigrams of a word, or trigrams if it is Latin. `bigram` does the
    same without Kiwi; `whitespace` only splits at white space.
    """

    def __init__(self, name: AnalyzerName = "kiwi", words: tuple[str, ...] = ()) -> None:
        """Make an analyzer.

        Args:
            name: what it does.
            words: further words for Kiwi, as "form/TAG", for instance "삼김/NNP".
        """
        if name not in get_args(AnalyzerName):
            raise ValueError(
                f"unknown analyzer {name!r}; expected one of {', '.join(get_args(AnalyzerName))}"
            )
        self.name = name
        self.words = words if name == "kiwi" else ()

    @property
    def fingerprint(self) -> str:
        """Digest of everything that determines the tokens: the rules and the library versions."""
        parts = ["2", self.name, " ".join(CONTENT_TAGS), " ".join(sorted(_ENGLISH_STOP_WORDS))]
        packages = {
            "kiwi": ["kiwipiepy", "kiwipiepy_model", "PyStemmer"],
            "bigram": ["PyStemmer"],
            "whitespace": [],
        }[self.name]
        parts += self.words
        parts += [f"{package} {importlib.metadata.version(package)}" for package in packages]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def tokenize_queries(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each query; with `kiwi`, every word occurs twice.

        Counted once, a word weighs less than its own n-grams, and texts that merely share letters
        with it score too high. The weight was chosen on development splits (benchmarks/LOG.md).
        `bigram` gives only n-grams for Korean, so doubling would overweight Latin words.
        """
        return self._tokenize(texts, times=2)

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text; BM25 ignores their order."""
        return self._tokenize(texts, times=1)

    def _tokenize(self, texts: Sequence[str], times: int) -> list[list[str]]:
        folded = [unicodedata.normalize("NFC", text).lower() for text in texts]
        if self.name == "whitespace":
            return [text.split() for text in folded]
        surface = [_surface_tokens(text) for text in folded]
        if self.name == "bigram":
            return [words + grams for words, grams in surface]
        return [
            times * [*lemmas, *words] + grams
            for lemmas, (words, grams) in zip(
                (_lemmas(text, self.words) for text in folded), surface, strict=True
            )
        ]


# One thread loads Kiwi; other threads, and a fork, wait for it.
_loading = threading.RLock()
os.register_at_fork(
    before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
)


def kiwi(words: tuple[str, ...] = ()) -> Any:
    """Return Kiwi with further words, which is loaded when it is first used; see `Analyzer`."""
    with _loading:
        return _load_kiwi(words)


@lru_cache(maxsize=4)  # of the generations that are open at the same time
def _load_kiwi(words: tuple[str, ...]) -> Any:
    from kiwipiepy import Kiwi  # takes 1.2 s, so only on first use

    with warnings.catch_warnings():
        # Kiwi warns that 0 now means no threads. That is intended: a forked process would wait for
        # the threads forever, and they made Kiwi no faster (benchmarks/LOG.md).
        warnings.simplefilter("ignore", DeprecationWarning)
        loaded = Kiwi(load_multi_dict=False, num_workers=0)
    for word in words:
        form, _, tag = word.partition("/")
        loaded.add_user_word(form, tag)
    return loaded


@lru_cache(maxsize=1 << 16)
def _is_predicate(stem: str) -> bool:
    first = kiwi().tokenize(stem + "다")[0]
    return bool(first.form == stem and first.tag.startswith(("VV", "VA")))


@cache
def _stem() -> Callable[[str], str]:
    import Stemmer

    stem: Callable[[str], str] = Stemmer.Stemmer("english").stemWord
    return stem


@lru_cache(maxsize=1 << 10)  # what corrects a query looks at them before BM25 does
def morphemes(text: str, words: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """Return Kiwi's morphemes of a text in lower case."""
    return tuple(kiwi(words).tokenize(text))


@lru_cache(maxsize=1 << 14)  # frequent queries, and those that every training round repeats
def _lemmas(text: str, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_morpheme_tokens(morphemes(text, words)))


def _morpheme_tokens(found: Sequence[Any]) -> list[str]:
    """Return the lemmas of content morphemes; compounds typed as two words become one.

    배가 고프다 means 배고프다, and 화가 나다 means 화나다: if a noun and the predicate after it
    form a predicate in the dictionary, that predicate replaces both.
    """
    tokens: list[str] = []
    noun = ""
    for morpheme in found:
        tag: str = morpheme.tag
        token = f"{morpheme.form}/{tag[0]}"
        if noun and tag.startswith(("VV", "VA")) and _is_predicate(noun + morpheme.form):
            tokens[-1] = noun + token
        elif tag.startswith(CONTENT_TAGS):
            tokens.append(token)
        if tag.startswith("NN"):
            noun = morpheme.form
        elif not tag.startswith("J"):
            noun = ""
    return tokens


def _surface_tokens(text: str) -> tuple[list[str], list[str]]:
    """Return the tagged stems of Latin words and numbers, and the n-grams of all but numbers.

    A stop word has only n-grams: it weighs little beside other words, but a query of stop words
    alone still finds its text.
    """
    words: list[str] = []
    grams: list[str] = []
    for run in _RUN.findall(text):
        parts = _PART.findall(run)
        if not parts:
            grams += _ngrams(run, 2)
        if len(parts) > 1:
            words.append(run + "/S")  # 5g, iphone14: the whole is more specific than its parts
        for part in parts:
            if part.isdigit():
                words.append(part + "/S")
                continue
            grams += _ngrams(part, 3)  # match names and typos
            if part not in _ENGLISH_STOP_WORDS:
                words.append(_stem()(part) + "/S")
    return words, grams


def _ngrams(word: str, n: int) -> Iterable[str]:
    """Return the distinct n-grams of a word, or the whole word if it is shorter than n.

    >>> [*_ngrams("하하하하", 2)], [*_ngrams("is", 3)]
    (['하하'], ['is'])
    """
    # Otherwise a run of one letter (ㅋㅋㅋㅋㅋㅋ) would outweigh the rest of a query.
    return dict.fromkeys(word[i : i + n] for i in range(max(len(word) - n, 0) + 1))
