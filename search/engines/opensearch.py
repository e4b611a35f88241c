"""A generation as an index of OpenSearch.

Each answer is a document, and its known questions are nested documents. Texts are stored as the
tokens that dotbogi's analyzer makes of them, between spaces, and scored by OpenSearch's own BM25
with dotbogi's settings.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dotbogi.indexes.lexical import K1, B
from dotbogi.search.candidates import ANSWER_LIFT
from dotbogi.search.engines.contents import Content, contents
from dotbogi.search.fusion import FusionWeights
from dotbogi.search.index import SearchIndex
from dotbogi.search.ranking import CANDIDATES

FOLDER, SUFFIX = "bulk", ".ndjson"

_FOUND = 10  # hits that a query asks for
_DIGITS = 6  # of the weights, which must add up to 1
# OpenSearch scores an inner product d as d + 1. So 1 is a cosine of 0, and 2 is one of 1.
_ZERO, _ONE = 1.0, 2.0


def bodies(index: SearchIndex) -> dict[str, Any]:
    """Return the bodies of requests by name: settings, pipeline and the template of a query."""
    return {
        "index": {"settings": _settings(), "mappings": _mappings(index.encoder.dim)},
        "pipeline": _pipeline(index.fitted.weights),
        "query": {
            "size": _FOUND,
            "_source": ["answer_id", "text", "metadata"],
            "query": {"hybrid": {"pagination_depth": CANDIDATES, "queries": _queries()}},
        },
    }


def records(index: SearchIndex) -> Iterator[str]:
    """Yield the action and the document of each answer: two lines of a bulk request."""
    analyzer = index.analyzer
    for content in contents(index):
        own, *of_questions = map(
            words, analyzer.tokenize([content.answer.text, *content.questions])
        )
        document = _document(content, own, of_questions)
        action = {"index": {"_id": str(content.position)}}
        yield "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (action, document))


def batch(records: Sequence[str]) -> str:
    """Return the body of a bulk request."""
    return "".join(records)


def query_values(vector: list[float], counts: Mapping[str, int], known: Any) -> dict[str, Any]:
    """Return what the placeholders of the template stand for; see `qdrant.query_values`."""
    del known
    tokens = [token for token, count in counts.items() for _ in range(count)]
    return {"vector": vector, "tokens": words(tokens)}


def words(tokens: Sequence[str]) -> str:
    """Return tokens between spaces; OpenSearch separates them there."""
    return " ".join(token.replace(" ", "_") for token in tokens)


def _settings() -> dict[str, Any]:
    return {
        "index": {
            "knn": True,
            "number_of_shards": 1,  # each shard has its own idf
            "similarity": {"dotbogi": {"type": "BM25", "k1": K1, "b": B}},
        },
        "analysis": {"analyzer": {"dotbogi": {"type": "custom", "tokenizer": "whitespace"}}},
    }


def _mappings(dim: int) -> dict[str, Any]:
    tokens = {
        "type": "text", "analyzer": "dotbogi", "similarity": "dotbogi", "index_options": "freqs",
    }  # fmt: skip
    method = {"name": "hnsw", "engine": "faiss", "space_type": "innerproduct"}
    vector = {"type": "knn_vector", "dimension": dim, "method": method}
    shown = {"type": "text", "index": False}
    return {
        "dynamic": False,
        "properties": {
            "answer_id": {"type": "keyword"},
            "text": shown,
            "metadata": {"type": "flat_object"},
            "tokens": tokens,
            "joined": tokens,
            "vector": vector,
            "whole": vector,
            "questions": {
                "type": "nested",
                "properties": {"text": shown, "tokens": tokens, "vector": vector},
            },
        },
    }


def _document(content: Content, own: str, of_questions: Sequence[str]) -> dict[str, Any]:
    questions = zip(content.questions, of_questions, content.question_vectors, strict=True)
    return {
        "answer_id": content.answer.id,
        "text": content.answer.text,
        "metadata": dict(content.answer.metadata),
        "tokens": own,
        "joined": " ".join([own, *of_questions]),
        "vector": content.vector,
        "whole": content.whole,
        "questions": [
            {"text": text, "tokens": tokens, "vector": vector} for text, tokens, vector in questions
        ],
    }


def _queries() -> list[dict[str, Any]]:
    """Return what is fused; a hybrid query has at most five queries."""
    lifted = {
        "function_score": {
            "query": _nearest("vector"),
            "functions": [{"weight": ANSWER_LIFT}],
            "boost_mode": "sum",
        }
    }
    return [
        _match("joined"),
        {"dis_max": {"queries": [_match("tokens"), _in_questions(_match("questions.tokens"))]}},
        {"dis_max": {"queries": [lifted, _in_questions(_nearest("questions.vector"))]}},
        _nearest("whole"),
    ]


def _match(field: str) -> dict[str, Any]:
    return {"match": {field: {"query": "{{tokens}}"}}}


def _nearest(field: str) -> dict[str, Any]:
    return {"knn": {field: {"vector": "{{vector}}", "k": CANDIDATES}}}


def _in_questions(query: dict[str, Any]) -> dict[str, Any]:
    return {"nested": {"path": "questions", "score_mode": "max", "query": query}}


def _pipeline(weights: FusionWeights) -> dict[str, Any]:
    """Return the pipeline that scales the scores as `Candidates.parts` does, and weighs them."""
    best, cosine = {"mode": "clip", "min_score": 0.0}, {"mode": "clip", "min_score": _ZERO}
    ignored, one = {"mode": "ignore"}, {"mode": "clip", "max_score": _ONE}
    bounds = {
        "lower_bounds": [best, best, cosine, cosine],
        "upper_bounds": [ignored, ignored, one, one],
    }
    processor = {
        "normalization": {"technique": "min_max", "parameters": bounds},
        "combination": {
            "technique": "arithmetic_mean",
            "parameters": {"weights": _four(weights)},
        },
    }
    return {"phase_results_processors": [{"normalization-processor": processor}]}


def _four(weights: FusionWeights) -> list[float]:
    """Return the weight of each query: a view by itself counts as the better of both views."""
    share = weights.shares()
    better = [
        sum(share[f"{scorer}_{part}"] for part in ("answer", "question", "best"))
        for scorer in ("bm25", "dense")
    ]
    first = [round(weight, _DIGITS) for weight in (share["bm25_joined"], *better)]
    return [*first, round(max(0.0, 1 - sum(first)), _DIGITS)]
