"""A generation as a collection of Qdrant.

Each answer is a point. The dot product of the sparse vectors of a point and of a query is the BM25
score: what a token adds to the score of a text is the weight in the point, and how often it occurs
in the query is the weight in the query.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.views import SIGNALS
from dotbogi.search.candidates import ANSWER_LIFT
from dotbogi.search.engines.contents import Content, contents
from dotbogi.search.fusion import FusionWeights
from dotbogi.search.index import SearchIndex
from dotbogi.search.ranking import CANDIDATES

FOLDER, SUFFIX = "points", ".json"

_NAMES = tuple(name.replace(".", "_") for name in SIGNALS)  # of the vectors
_SPARSE = tuple(name for name in _NAMES if name.startswith("bm25"))
_FOUND = 10  # hits that a query asks for
_MISSING = -1.0  # below every cosine that counts

Expression = Any  # of a formula
Sparse = dict[str, list[Any]]


def bodies(index: SearchIndex) -> dict[str, Any]:
    """Return the bodies of requests by name: the collection's settings and the templates."""
    dense = {"size": index.encoder.dim, "distance": "Dot"}
    vocabulary = _weights(index, "joined")[0]
    return {
        "collection": {
            "vectors": {
                "dense_answer": dense,
                "dense_question": {**dense, "multivector_config": {"comparator": "max_sim"}},
                "dense_whole": dense,
            },
            "sparse_vectors": {name: {} for name in _SPARSE},
        },
        "best": {"searches": [{**_search(name), "limit": 1} for name in _SPARSE]},
        "query": {
            "prefetch": [{**_search(name), "limit": CANDIDATES} for name in _NAMES],
            "query": {"formula": formula(index.fitted.weights), "defaults": _defaults()},
            "limit": _FOUND,
            "with_payload": True,
        },
        "vocabulary": sorted(vocabulary, key=vocabulary.__getitem__),
    }


def records(index: SearchIndex) -> Iterator[str]:
    """Yield a point for each answer, as JSON."""
    vocabulary, joined = _weights(index, "joined")
    own = _renumbered(*_weights(index, "answer"), vocabulary)
    question = _renumbered(*_weights(index, "question"), vocabulary)
    for content in contents(index):
        sparse = {
            "bm25_answer": own(content.position),
            "bm25_question": _highest([question(row) for row in content.rows]),
            "bm25_joined": _row(joined, content.position),
        }
        yield json.dumps(_point(content, sparse), ensure_ascii=False)


def batch(records: Sequence[str]) -> str:
    """Return the body of a request that writes these points."""
    return '{"points":[' + ",\n".join(records) + "]}\n"


def query_values(vector: list[float], counts: Mapping[str, int], known: Any) -> dict[str, Any]:
    """Return what the placeholders of the templates stand for.

    Args:
        vector: of the query.
        counts: how often each token occurs in the query.
        known: the number of each token of the vocabulary.
    """
    tokens = {known[token]: float(count) for token, count in counts.items() if token in known}
    # Qdrant expects at least one: a token that no point has.
    tokens = tokens or {len(known): 0.0}
    sparse = {"indices": list(tokens), "values": list(tokens.values())}
    return {"vector": vector, "vectors": [vector], "tokens": sparse}


def best_scores(replies: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the best score of each BM25 signal: placeholders of the template `query`.

    Args:
        replies: `result` of the reply to the template `best`, one entry with `points` per search.
    """
    best = {
        name: max((float(point["score"]) for point in reply["points"]), default=0.0)
        for name, reply in zip(_SPARSE, replies, strict=True)
    }
    return {**best, "bm25_best": max(best["bm25_answer"], best["bm25_question"])}


def formula(weights: FusionWeights) -> Expression:
    """Return the hybrid score, as `Candidates.parts` and `FusionWeights` define it.

    Where a list of a dense signal lacks an answer, it counts 0 in place of the list's lowest.
    """
    score = {name: f"$score[{place}]" for place, name in enumerate(_NAMES)}
    either = {"max": [score["bm25_answer"], score["bm25_question"]]}
    lifted = {"sum": [score["dense_answer"], ANSWER_LIFT]}
    parts = {
        **{name: _share(score[name], name) for name in _SPARSE},
        "bm25_best": _share(either, "bm25_best"),
        "dense_answer": _clipped(score["dense_answer"]),
        "dense_question": _clipped(score["dense_question"]),
        "dense_best": _clipped({"max": [lifted, score["dense_question"]]}),
        "dense_whole": _clipped(score["dense_whole"]),
    }
    shares = weights.shares()
    return {"sum": [{"mult": [shares[name], part]} for name, part in parts.items() if shares[name]]}


def _share(score: Expression, best: str) -> Expression:
    return {"div": {"left": score, "right": f"{{{{{best}}}}}", "by_zero_default": 0.0}}


def _clipped(score: Expression) -> Expression:
    return {"min": [1.0, {"max": [0.0, score]}]}


def _defaults() -> dict[str, float]:
    return {
        f"$score[{place}]": 0.0 if name in _SPARSE else _MISSING
        for place, name in enumerate(_NAMES)
    }


def _search(name: str) -> dict[str, Any]:
    values = {"dense_question": "{{vectors}}", **dict.fromkeys(_SPARSE, "{{tokens}}")}
    return {"query": values.get(name, "{{vector}}"), "using": name}


def _point(content: Content, sparse: Mapping[str, Sparse]) -> dict[str, Any]:
    vectors: dict[str, Any] = {"dense_answer": content.vector, "dense_whole": content.whole}
    if content.question_vectors:
        vectors["dense_question"] = content.question_vectors
    vectors |= {name: vector for name, vector in sparse.items() if vector["indices"]}
    return {
        "id": content.position,
        "vector": vectors,
        "payload": {
            "answer_id": content.answer.id,
            "text": content.answer.text,
            "metadata": dict(content.answer.metadata),
            "questions": content.questions,
        },
    }


def _weights(index: SearchIndex, view: str) -> tuple[dict[str, int], Any]:
    bm25 = index.views[view].bm25
    assert bm25 is not None
    return bm25.weights()


def _renumbered(own: Mapping[str, int], matrix: Any, numbers: Mapping[str, int]) -> Any:
    """Return a function that returns a row as a sparse vector, with other numbers of tokens."""
    number = np.zeros(matrix.shape[1], np.int64)
    for token, place in own.items():
        number[place] = numbers[token]
    return lambda row: _row(matrix, row, number)


def _row(matrix: Any, row: int, number: NDArray[np.int64] | None = None) -> Sparse:
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    places = matrix.indices[part]
    return {
        "indices": (places if number is None else number[places]).tolist(),
        "values": matrix.data[part].astype(np.float64).round(7).tolist(),
    }


def _highest(vectors: Sequence[Sparse]) -> Sparse:
    """Return the highest weight of each token."""
    highest: dict[int, float] = {}
    for vector in vectors:
        for place, weight in zip(vector["indices"], vector["values"], strict=True):
            highest[place] = max(weight, highest.get(place, weight))
    return {"indices": list(highest), "values": list(highest.values())}
