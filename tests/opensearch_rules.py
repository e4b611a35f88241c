"""What OpenSearch does with the requests of an export, by its documentation and Lucene's.

Only the queries that exports contain, exact in place of approximate neighbours, and lengths of
texts as they are (Lucene rounds those above 40).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Scores = dict[int, float]  # of documents; those that do not match are not in it


class Rules:
    """An index that is searched by these rules."""

    def __init__(self, index: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> None:
        self._settings, self._documents = index, documents

    def search(self, body: Mapping[str, Any], pipeline: Mapping[str, Any]) -> Scores:
        """Return the hits of a hybrid query, best first."""
        hybrid = body["query"]["hybrid"]
        (step,) = pipeline["phase_results_processors"]
        processor = step["normalization-processor"]
        assert processor["normalization"]["technique"] == "min_max"
        assert processor["combination"]["technique"] == "arithmetic_mean"
        bounds = processor["normalization"]["parameters"]
        weights = processor["combination"]["parameters"]["weights"]
        assert len(hybrid["queries"]) == len(weights) <= 5
        assert math.isclose(sum(weights), 1, abs_tol=1e-9)
        total: Scores = {}
        for query, weight, lower, upper in zip(
            hybrid["queries"], weights, bounds["lower_bounds"], bounds["upper_bounds"], strict=True
        ):
            found = self.scores(query)
            best = sorted(found, key=lambda one: -found[one])[: hybrid["pagination_depth"]]
            for one, score in _scaled({one: found[one] for one in best}, lower, upper).items():
                total[one] = total.get(one, 0.0) + weight * score
        order = sorted(total, key=lambda one: (-total[one], one))[: body["size"]]
        return {one: total[one] for one in order}

    def scores(self, query: Mapping[str, Any]) -> Scores:
        """Return the score of each document that matches one query."""
        ((kind, clause),) = query.items()
        if kind == "dis_max":
            found = [self.scores(each) for each in clause["queries"]]
            return {
                one: max(scores[one] for scores in found if one in scores)
                for one in set().union(*found)
            }
        if kind == "function_score":
            assert clause["boost_mode"] == "sum"
            (function,) = clause["functions"]
            inner = self.scores(clause["query"])
            return {one: score + function["weight"] for one, score in inner.items()}
        if kind == "nested":
            assert clause["score_mode"] == "max"
            return self._scores(clause["query"], clause["path"])
        return self._scores(query, None)

    def _scores(self, query: Mapping[str, Any], path: str | None) -> Scores:
        ((kind, fields),) = query.items()
        ((field, wanted),) = fields.items()
        rows = [
            (one, part)
            for one, document in enumerate(self._documents)
            for part in (document[path] if path else [document])
        ]
        name = field.removeprefix(f"{path}.")
        score = self._bm25 if kind == "match" else self._nearest
        values = score(self._mapping(field), [part[name] for _, part in rows], wanted)
        best: Scores = {}
        for (one, _), value in zip(rows, values, strict=True):
            if value is not None:
                best[one] = max(value, best.get(one, value))
        if kind == "knn":
            kept = sorted(best, key=lambda one: -best[one])[: wanted["k"]]
            best = {one: best[one] for one in kept}
        return best

    def _mapping(self, field: str) -> Mapping[str, Any]:
        mapping = self._settings["mappings"]
        for name in field.split("."):
            mapping = mapping["properties"][name]
        return mapping

    def _bm25(
        self, mapping: Mapping[str, Any], texts: Sequence[str], wanted: Mapping[str, Any]
    ) -> list[float | None]:
        similarity = self._settings["settings"]["index"]["similarity"][mapping["similarity"]]
        analyzer = self._settings["settings"]["analysis"]["analyzer"][mapping["analyzer"]]
        assert (similarity["type"], analyzer["tokenizer"]) == ("BM25", "whitespace")
        k1, b = similarity["k1"], similarity["b"]
        rows = [Counter(text.split()) for text in texts]
        lengths = [sum(row.values()) for row in rows if row]
        count, mean = len(lengths), sum(lengths) / max(1, len(lengths))
        asked = Counter(wanted["query"].split())
        having = {token: sum(token in row for row in rows) for token in asked}
        idf = {t: math.log(1 + (count - n + 0.5) / (n + 0.5)) for t, n in having.items()}

        def of(row: Counter[str]) -> float | None:
            if asked.keys().isdisjoint(row):
                return None
            norm = k1 * (1 - b + b * sum(row.values()) / mean)
            return sum(times * idf[t] * row[t] / (row[t] + norm) for t, times in asked.items())

        return [of(row) for row in rows]

    def _nearest(
        self, mapping: Mapping[str, Any], vectors: Sequence[Any], wanted: Mapping[str, Any]
    ) -> list[float | None]:
        assert (mapping["type"], mapping["method"]["space_type"]) == ("knn_vector", "innerproduct")
        assert len(wanted["vector"]) == mapping["dimension"]
        products = (np.asarray(vectors) @ np.asarray(wanted["vector"])).tolist()
        return [1 + d if d > 0 else 1 / (1 - d) for d in products]


def _scaled(found: Scores, lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Scores:
    if not found:
        return {}
    assert lower["mode"] == "clip"
    low, high = lower["min_score"], max(found.values())
    if upper["mode"] == "clip":
        high = upper["max_score"]
    return {one: min(1, max(0, (score - low) / (high - low))) for one, score in found.items()}
