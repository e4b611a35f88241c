"""Text → tokens for BM25: Kiwi content morphemes, character bigrams, Snowball stems."""

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

# Nouns, pronouns, numerals, verbs, adjectives, adverbs, roots, Chinese characters. Latin words
# and digits are taken from the surface, where an analyzer without Kiwi finds them too.
_CONTENT_TAGS = ("NNG", "NNP", "NNB", "NP", "NR", "VV", "VA", "XR", "MAG", "SH")
_WORD = re.compile(r"[^\W_]+")
_RUN = re.compile(r"[a-z]+|\d+|[^a-z\d]+")
_ENGLISH_STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "from",
        "has",
        "have",
        "he",
        "i",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "of",
        "on",
        "or",
        "our",
        "she",
        "so",
        "that",
        "the",
        "their",
        "them",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "will",
        "with",
        "you",
        "your",
    ]
)


class Analyzer:
    """Turns texts into BM25 tokens; the same one serves the building of an index and its queries.

    `kiwi` (default) gives the lemmas of content morphemes plus the surface character bigrams of
    each word; `bigram` leaves Kiwi out; `whitespace` gives words as they stand. Latin words are
    Snowball-stemmed without stop words in the first two.
    """

    def __init__(self, name: AnalyzerName = "kiwi") -> None:
        if name not in get_args(AnalyzerName):
            raise ValueError(
                f"unknown analyzer {name!r}; one of {', '.join(get_args(AnalyzerName))}"
            )
        self.name = name

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the tokens: the rules and the library versions."""
        parts = ["1", self.name, " ".join(_CONTENT_TAGS), " ".join(sorted(_ENGLISH_STOP_WORDS))]
        packages = {
            "kiwi": ["kiwipiepy", "kiwipiepy_model", "PyStemmer"],
            "bigram": ["PyStemmer"],
            "whitespace": [],
        }[self.name]
        parts += [f"{package} {importlib.metadata.version(package)}" for package in packages]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def tokenize_queries(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each query, in which a lemma counts twice.

        A word has one lemma and several bigrams, which outvote it where two words share letters
        alone; the weight was chosen on development splits (benchmarks/LOG.md).
        """
        return self._tokenize(texts, times=2)

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text, in no order that matters to BM25."""
        return self._tokenize(texts, times=1)

    def _tokenize(self, texts: Sequence[str], times: int) -> list[list[str]]:
        folded = [unicodedata.normalize("NFC", text).lower() for text in texts]
        if self.name == "whitespace":
            return [text.split() for text in folded]
        surface = [_surface_tokens(text) for text in folded]
        if self.name == "bigram":
            return surface
        morphemes = map(_morpheme_tokens, map(_kiwi().tokenize, folded))
        return [times * lemmas + rest for lemmas, rest in zip(morphemes, surface, strict=True)]


# Threads whose first queries come together wait for one Kiwi; a fork waits for it too.
_loading = threading.RLock()
os.register_at_fork(
    before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
)


def _kiwi() -> Any:
    with _loading:
        return _load_kiwi()


@cache
def _load_kiwi() -> Any:
    from kiwipiepy import Kiwi  # 1.2 s: only when Korean is analysed

    with warnings.catch_warnings():
        # It warns of the new meaning of 0, which is wanted: no threads of its own. A forked
        # process would wait for them without end. They made it no faster (benchmarks/LOG.md).
        warnings.simplefilter("ignore", DeprecationWarning)
        return Kiwi(load_multi_dict=False, num_workers=0)


@lru_cache(maxsize=1 << 16)
def _is_predicate(stem: str) -> bool:
    found = _kiwi().tokenize(stem + "다")
    return bool(found[0].form == stem and found[0].tag.startswith(("VV", "VA")))


@cache
def _stem() -> Callable[[str], str]:
    import Stemmer

    stem: Callable[[str], str] = Stemmer.Stemmer("english").stemWord
    return stem


def _morpheme_tokens(morphemes: Sequence[Any]) -> list[str]:
    """Return lemmas of content morphemes; compounds typed in two words become one.

    배가 고프다 and 배고프다 say the same, as do 화가 나다 and 화나다: where a noun and the
    predicate behind it make a predicate of the dictionary, that one takes the place of both.
    """
    tokens: list[str] = []
    noun = ""
    for morpheme in morphemes:
        tag: str = morpheme.tag
        token = f"{morpheme.form}/{tag[0]}"
        if noun and tag.startswith(("VV", "VA")) and _is_predicate(noun + morpheme.form):
            tokens[-1] = noun + token
        elif tag.startswith(_CONTENT_TAGS):
            tokens.append(token)
        if tag.startswith("NN"):
            noun = morpheme.form
        elif not tag.startswith("J"):
            noun = ""
    return tokens


def _surface_tokens(text: str) -> list[str]:
    """Return stems of Latin words, whole numbers, and bigrams of everything else."""
    tokens: list[str] = []
    for word in _WORD.findall(text):
        runs = _RUN.findall(word)
        if len(runs) > 1 and word.isascii():
            tokens.append(word)  # 5g, iphone14: the whole says more than its parts
        for run in runs:
            if run[0].isascii() and run[0].isalpha():
                if run not in _ENGLISH_STOP_WORDS:
                    tokens.append(_stem()(run))
            elif run.isdigit():
                tokens.append(run)
            else:
                tokens.extend(_bigrams(run))
    return tokens


def _bigrams(word: str) -> Iterable[str]:
    if len(word) == 1:
        return [word]
    return (word[i : i + 2] for i in range(len(word) - 1))
