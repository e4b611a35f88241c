"""Vectors for a tokenizer's pieces from Kiwi's language model, before any pair is seen.

Kiwi's model (kiwipiepy_model, Apache-2.0) learned a vector for each of some 70,000 morphemes from
a large Korean corpus. The library tells cosines between them, from which the vectors are found;
a word is the sum of its morphemes, and pieces get the vectors whose sums come nearest to the words.
"""

import bisect
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.dense import Vectors

Morpheme = tuple[str, str]  # form and tag

# What carries meaning by itself: no particles, endings, punctuation.
_CONTENT = ("NN", "NP", "NR", "VV", "VA", "XR", "MAG", "SL", "SH", "VX", "VCN", "MM", "IC")
_PREDICATES = ("VV", "VA", "VV-I", "VA-I", "XR")
_ENDINGS: tuple[tuple[Morpheme, ...], ...] = (
    (("다", "EF"),), (("어", "EF"),), (("어요", "EF"),), (("었", "EP"), ("어", "EF")),
    (("었", "EP"), ("어요", "EF")), (("네", "EF"),), (("네요", "EF"),), (("고", "EC"),),
    (("는데", "EC"),), (("지", "EF"),), (("면", "EC"),), (("니", "EF"),), (("ᆯ까", "EF"),),
    (("어서", "EC"),), (("었", "EP"), ("는데", "EC")), (("습니다", "EF"),), (("는", "ETM"),),
    (("ᆫ", "ETM"),), (("ᆯ", "ETM"),), (("기", "ETN"),),
)  # fmt: skip
_FREQUENT = 20_000  # Kiwi numbers morphemes about by frequency
_COMMONEST = 5_000
_COMMON_DIRECTIONS = 3
_RIDGE = 1.0  # keeps pieces that few words have near zero
_ITERATIONS = 60
_BATCH = 20_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Words:
    """Words with how often they were seen and the morphemes they are usually analysed into."""

    counts: Mapping[str, int]
    morphemes: Mapping[str, tuple[int, ...]]
    idf: NDArray[np.float64]  # of each morpheme, over texts


def open_kiwi() -> Any:
    """Return Kiwi with the language model that has vectors; any number of threads says the same."""
    from kiwipiepy import Kiwi

    return Kiwi(load_multi_dict=False, num_workers=os.cpu_count() or 1, model_type="cong")


def morpheme_vectors(
    kiwi: Any, *, landmarks: int, seed: int = 0
) -> tuple[Vectors, dict[Morpheme, int]]:
    """Return morphemes × dim unit vectors without their common part, and each morpheme's row.

    Cosines to a few hundred landmarks fix all vectors up to a rotation (Nyström). All of Kiwi's
    vectors lie in a narrow cone; their mean and first principal directions are taken out (Mu and
    Viswanath, "All-but-the-Top", ICLR 2018).

    Args:
        kiwi: as `open_kiwi` gives it.
        landmarks: how many; with fewer than Kiwi's 256 dimensions the vectors are approximate.
        seed: of their choice.
    """
    first = kiwi.most_similar_morphemes(_FREQUENT, top_n=1 << 20)
    total = len(first)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.arange(20, _FREQUENT), landmarks, replace=False)
    cosines = np.zeros((landmarks, total))
    for row, landmark in enumerate(chosen.tolist()):
        for found in kiwi.most_similar_morphemes(landmark, top_n=total):
            cosines[row, found.id] = found.score
        cosines[row, landmark] = 1.0  # Kiwi gives a morpheme no cosine to itself
    between = cosines[:, chosen]
    values, directions = np.linalg.eigh((between + between.T) / 2)
    real = values > 1e-3  # the rest is rounding
    vectors = _unit(cosines.T @ (directions[:, real] / np.sqrt(values[real])))
    vectors -= vectors[:_FREQUENT].mean(axis=0)
    _, common = np.linalg.eigh(vectors[:_FREQUENT].T @ vectors[:_FREQUENT])
    common = common[:, -_COMMON_DIRECTIONS:]
    vectors = _unit(vectors - vectors @ common @ common.T)
    rows = {(m.form, str(m.tag)): m.id for m in sorted(first, key=lambda m: -m.id)}
    return vectors.astype(np.float32), rows


def analyse_words(kiwi: Any, texts: Sequence[str], rows: Mapping[Morpheme, int]) -> Words:
    """Count the words of the texts and find their morphemes; the dictionary's count as seen once.

    Args:
        kiwi: as `open_kiwi` gives it.
        texts: with white space between words.
        rows: the row of each morpheme that has a vector.
    """
    counts: Counter[str] = Counter()
    analyses: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    seen: Counter[int] = Counter()
    for start in range(0, len(texts), _BATCH):
        part = texts[start : start + _BATCH]
        for text, morphemes in zip(part, kiwi.tokenize(part), strict=True):
            spans = [match.span() for match in re.finditer(r"\S+", text)]
            starts = [begin for begin, _ in spans]
            of_word: dict[int, list[int]] = defaultdict(list)
            for morpheme in morphemes:
                row = rows.get((morpheme.form, morpheme.tag))
                if row is not None and morpheme.tag.startswith(_CONTENT):
                    of_word[bisect.bisect_right(starts, morpheme.start) - 1].append(row)
            seen.update({row for found in of_word.values() for row in found})
            for number, (begin, end) in enumerate(spans):
                counts[text[begin:end]] += 1
                analyses[text[begin:end]][tuple(of_word[number])] += 1
        logger.info("analysed %d of %d texts", start + len(part), len(texts))
    morphemes_of = {word: found.most_common(1)[0][0] for word, found in analyses.items()}
    for word, row in dictionary_words(kiwi, rows).items():
        if word not in counts:
            counts[word], morphemes_of[word] = 1, (row,)
    frequency = np.asarray([seen[row] for row in range(max(rows.values()) + 1)])
    return Words(counts, morphemes_of, np.log((len(texts) + 1) / (frequency + 1)))


def dictionary_words(kiwi: Any, rows: Mapping[Morpheme, int]) -> dict[str, int]:
    """Return Kiwi's nouns and twenty forms of each of its predicates, with the morpheme's row.

    A collection will have everyday words that no training text has.
    """
    words: dict[str, int] = {}
    for (form, tag), row in rows.items():
        if tag in _PREDICATES:
            stem = [(form, tag), ("하", "XSA")] if tag == "XR" else [(form, tag)]
            forms = [kiwi.join([*stem, *ending]) for ending in _ENDINGS]
            found = [form for form in forms if " " not in form]
        else:
            found = [form] if tag.startswith(_CONTENT) and len(form) > 1 else []
        for word in found:
            words.setdefault(word, row)
    return words


def piece_vectors(tokenizer: Any, words: Words, vectors: Vectors) -> Vectors:
    """Return pieces × dim vectors whose sums over a word's pieces are nearest to the word's.

    The word's is the sum of its morphemes' vectors, each as long as its idf. Ridge regression in
    which a word weighs by the root of its count, solved by conjugate gradients.
    """
    from scipy import sparse

    scaled = vectors * (words.idf / words.idf[:_COMMONEST].mean())[:, None]  # about length 1
    listed = sorted(words.counts)
    wanted = np.zeros((len(listed), vectors.shape[1]))
    for number, word in enumerate(listed):
        for row in words.morphemes[word]:
            wanted[number] += scaled[row]
    weight = sparse.diags(np.sqrt([words.counts[word] for word in listed]))
    ids = [e.ids for e in tokenizer.encode_batch_fast(listed, add_special_tokens=False)]
    lengths = [len(found) for found in ids]
    pieces = sparse.csr_matrix(
        (
            np.ones(sum(lengths)),
            np.fromiter((i for found in ids for i in found), np.int64, sum(lengths)),
            np.concatenate([[0], np.cumsum(lengths)]),
        ),
        shape=(len(listed), tokenizer.get_vocab_size()),
    )
    pieces.sum_duplicates()
    gram = (pieces.T @ weight @ pieces + _RIDGE * sparse.identity(pieces.shape[1])).tocsr()
    return _conjugate_gradients(gram, pieces.T @ (weight @ wanted)).astype(np.float32)


def _conjugate_gradients(matrix: Any, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve matrix @ x = target for every column, preconditioned with the diagonal."""
    scale = 1 / matrix.diagonal()[:, None]
    found = np.zeros_like(target)
    rest = target.copy()
    direction = scale * rest
    size = (rest * direction).sum(axis=0)
    for _ in range(_ITERATIONS):
        image = matrix @ direction
        step = size / np.maximum((direction * image).sum(axis=0), 1e-30)
        found += step * direction
        rest -= step * image
        steep = scale * rest
        new = (rest * steep).sum(axis=0)
        direction = steep + new / np.maximum(size, 1e-30) * direction
        size = new
    return found


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-12)
