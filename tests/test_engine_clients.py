"""Exports for engines, by the engines' own clients (`make test-extras`; skipped without them)."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from engine_exports import WEIGHTS, Exported, exported, sample_part

from dotbogi.search.engines import fill, qdrant
from dotbogi.search.fusion import FusionWeights

SIGNALS = {
    "bm25_answer": "tokens", "bm25_joined": "tokens", "dense_answer": "vector",
    "dense_question": "vectors", "dense_whole": "vector",
}  # fmt: skip


class Collection:
    """An export in Qdrant's own local mode."""

    def __init__(self, export: Exported) -> None:
        client = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
        self._models = client.models
        self._client = client.QdrantClient(":memory:")
        settings = self._read("CreateCollection", export.read("collection"))
        self._client.create_collection(
            "faq", vectors_config=settings.vectors, sparse_vectors_config=settings.sparse_vectors
        )
        for path in sorted((export.folder / "points").iterdir()):
            body = self._read("PointsList", json.loads(path.read_text(encoding="utf-8")))
            self._client.upsert("faq", **_given(body))

    def _read(self, model: str, body: dict[str, Any]) -> Any:
        """Return a body as the client's own model, which sends the same body again."""
        read = getattr(self._models, model).model_validate(body)
        assert read.model_dump(mode="json", exclude_unset=True) == body
        return read

    def query(self, body: dict[str, Any]) -> list[Any]:
        request = self._read("QueryRequest", body)
        return self._client.query_points("faq", **_given(request)).points  # type: ignore[no-any-return]

    def batch(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        batch = self._read("QueryRequestBatch", body)
        replies = [self._client.query_points("faq", **_given(one)) for one in batch.searches]
        return [reply.model_dump() for reply in replies]

    def hybrid(self, export: Exported, text: str) -> dict[str, float]:
        values = export.opened().values(text)
        values |= qdrant.best_scores(self.batch(fill(export.read("best"), values)))
        return _by_id(self.query(fill(export.read("query"), values)))


def _given(body: Any) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.model_fields_set}


def _by_id(points: list[Any]) -> dict[str, float]:
    return {point.payload["answer_id"]: point.score for point in points}


def test_qdrants_best_answers_are_those_of_dotbogi_signal_by_signal(tmp_path: Path) -> None:
    export = exported("qdrant", tmp_path / "q", sample_part(150, 3))
    collection, queries = Collection(export), export.opened()
    compared = 0
    for text in export.queries:
        values, ours = queries.values(text), export.signals(text)
        for name, value in SIGNALS.items():
            body = {"query": values[value], "using": name, "limit": 10, "with_payload": True}
            theirs = _by_id(collection.query(body))
            best = ours[name.replace("_", ".")]
            assert len(theirs) == min(10, len(best)), name
            for (one, score), own in zip(theirs.items(), best.values(), strict=False):
                compared += 1
                assert score == pytest.approx(own, rel=1e-5, abs=1e-6), (name, text)
                assert best[one] == pytest.approx(score, rel=1e-5, abs=1e-6), (name, text)
    assert compared > 800, f"{compared} scores of {len(export.queries)} queries compared"


@pytest.mark.parametrize("weights", [WEIGHTS, FusionWeights()])
def test_qdrants_formula_is_the_hybrid_score(tmp_path: Path, weights: FusionWeights) -> None:
    """With one known question for each answer, and no more answers than a list has."""
    export = exported("qdrant", tmp_path / "q", sample_part(90, 1), weights)
    collection = Collection(export)
    for text in export.queries:
        theirs, ours = collection.hybrid(export, text), export.fused(text)
        for (one, score), own in zip(theirs.items(), ours.values(), strict=False):
            assert score == pytest.approx(own, abs=1e-6), text
            assert ours[one] == pytest.approx(own, abs=1e-6), text


def test_qdrants_first_answers_are_those_of_dotbogi(tmp_path: Path) -> None:
    """With several known questions, whose BM25 is a bound, and lists that lack answers."""
    export = exported("qdrant", tmp_path / "q", sample_part(200, 5), FusionWeights())
    collection = Collection(export)
    same = sum(
        next(iter(collection.hybrid(export, text))) == next(iter(export.fused(text)))
        for text in export.queries
    )
    assert same >= 0.9 * len(export.queries), f"{same} of {len(export.queries)} first answers"
    assert collection.hybrid(export, "★")  # no token that the collection has


def test_the_bound_of_the_question_view_is_never_below_it(tmp_path: Path) -> None:
    export = exported("qdrant", tmp_path / "q", sample_part(50, 5))
    collection, queries = Collection(export), export.opened()
    for text in export.queries:
        body = {"query": queries.values(text)["tokens"], "using": "bm25_question", "limit": 100}
        theirs = _by_id(collection.query({**body, "with_payload": True}))
        for one, score in export.signals(text)["bm25.question"].items():
            assert theirs[one] >= score - 1e-5


class Recorder(ThreadingHTTPServer):
    """Answers every request as OpenSearch does when it succeeds, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.requests.append((self.command, self.path, body))
        reply: dict[str, Any] = {"acknowledged": True, "hits": {"hits": []}}
        if "_bulk" in self.path:
            ids = [json.loads(line)["index"]["_id"] for line in body.splitlines()[::2]]
            reply = {"errors": False, "items": [{"index": {"_id": i, "status": 201}} for i in ids]}
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        del arguments


@pytest.fixture
def server() -> Iterator[Recorder]:
    recorder = Recorder()
    thread = threading.Thread(target=recorder.serve_forever)
    thread.start()
    yield recorder
    recorder.shutdown()
    thread.join()
    recorder.server_close()


def test_opensearchs_client_sends_the_export_as_it_is(tmp_path: Path, server: Recorder) -> None:
    opensearchpy = pytest.importorskip("opensearchpy", reason="opensearch-py is not installed")
    export = exported("opensearch", tmp_path / "o", sample_part(40, 3))
    client = opensearchpy.OpenSearch([{"host": "127.0.0.1", "port": server.server_port}])
    client.indices.create(index="faq", body=export.read("index"))
    client.search_pipeline.put(id="faq", body=export.read("pipeline"))
    lines = [
        json.loads(line)
        for path in sorted((export.folder / "bulk").iterdir())
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    actions = [
        {"_op_type": "index", **action["index"], "_source": document}
        for action, document in zip(lines[::2], lines[1::2], strict=True)
    ]
    assert opensearchpy.helpers.bulk(client, actions, index="faq") == (40, [])
    body = fill(export.read("query"), export.opened().values(export.queries[0]))
    client.search(index="faq", body=body, params={"search_pipeline": "faq"})
    client.close()

    sent = {path.partition("?")[0]: body for _, path, body in server.requests}
    assert json.loads(sent["/faq"]) == export.read("index")
    assert json.loads(sent["/_search/pipeline/faq"]) == export.read("pipeline")
    assert json.loads(sent["/faq/_search"]) == body
    assert server.requests[-1][1] == "/faq/_search?search_pipeline=faq"
    bulk = [json.loads(line) for path, text in sent.items() if "_bulk" in path
            for line in text.splitlines()]  # fmt: skip
    assert bulk == lines
