import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ANSWERS, QUESTIONS
from openai import OpenAI
from service_process import Service, publish, serving

from dotbogi.search import Searcher
from dotbogi.search.explain import explain
from dotbogi.search.feedback import FeedbackStore

VOTE: dict[str, Any] = {
    "id": "vote-1", "client": "user-1", "query": "배고픈데요", "shown": ["a1", "a2"],
    "answer_id": "a1", "verdict": "right", "generation": "000001",
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service") / "w"
    publish(folder)
    return folder


@pytest.fixture(scope="module")
def service(workspace: Path) -> Iterator[Service]:
    with serving(workspace) as running:
        yield running
        assert "Traceback" not in running.log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def searcher(workspace: Path) -> Searcher:
    return Searcher.open(workspace)


def test_a_search_gives_what_the_library_gives(service: Service, searcher: Searcher) -> None:
    found = service.call("POST", "/v1/search", {"query": "배가 고파", "k": 3})
    assert found.json["generation"] == found.headers["x-dotbogi-generation"] == "000001"
    expected = searcher.search("배가 고파", 3)
    (result,) = found.json["results"]
    assert [hit["answer_id"] for hit in result["hits"]] == [hit.answer_id for hit in expected]
    first, hit = result["hits"][0], expected[0]
    assert first["text"] == hit.text == ANSWERS["a1"]
    assert first["score"] == pytest.approx(hit.score)
    assert first["confidence"] == pytest.approx(hit.confidence)
    assert first["metadata"] == {"topic": "talk"}
    assert first["question"] == hit.question
    assert first["signals"]["bm25.joined"]["rank"] == hit.signals["bm25.joined"].rank
    assert first["explanation"] is None


def test_many_queries_are_answered_in_their_order(service: Service, searcher: Searcher) -> None:
    queries = [question for question, _ in QUESTIONS]
    found = service.call("POST", "/v1/search", {"queries": queries, "k": 1}).json["results"]
    assert [result["hits"][0]["answer_id"] for result in found] == [a for _, a in QUESTIONS]


def test_filters_confidence_and_explanations_are_those_of_the_library(
    service: Service, searcher: Searcher
) -> None:
    def hits(**fields: Any) -> list[dict[str, Any]]:
        found = service.call("POST", "/v1/search", {"query": "배가 고파", **fields})
        return list(found.json["results"][0]["hits"])

    assert {hit["answer_id"] for hit in hits(where={"topic": "shop"})} == {"a3", "a4"}
    assert {hit["answer_id"] for hit in hits(where={"topic": ["shop", "nothing"]})} == {"a3", "a4"}
    assert hits(where={"nothing": "shop"}) == []
    sure = hits()[0]["confidence"]
    assert hits(min_confidence=sure - 0.01)
    assert hits(min_confidence=sure + 0.01) == []
    where = {"topic": "shop"}
    (explained,) = hits(where=where, explain=True, k=1)
    hit = searcher.search("배가 고파", 1, where=where)[0]
    expected = explain(searcher, "배가 고파", hit, where=where)
    assert explained["explanation"] == {"parts": expected.parts, "words": expected.words}
    assert sum(expected.parts.values()) == pytest.approx(hit.score, abs=1e-3)


def test_an_openai_client_gets_the_vectors_of_the_library(
    service: Service, searcher: Searcher
) -> None:
    client = OpenAI(base_url=f"{service.url}/v1", api_key="none-is-needed-here")
    texts = ["배고프다", "배송 언제 와요?", "Wi-Fi 5G", "  한국어 ", "!", "🙂"]
    for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        reply = client.embeddings.create(model="starter", input=texts, **options)  # type: ignore[call-overload]
        vectors = [
            np.frombuffer(base64.b64decode(each.embedding), "<f4")
            if isinstance(each.embedding, str)
            else np.asarray(each.embedding)
            for each in reply.data
        ]
        np.testing.assert_allclose(np.stack(vectors), searcher.encode(texts), atol=1e-6)
        assert [each.index for each in reply.data] == list(range(len(texts)))
        assert reply.model == "dotbogi-000001"
        assert reply.usage.prompt_tokens == reply.usage.total_tokens > len(texts)
    one = client.embeddings.create(
        model="starter", input="배고프다", dimensions=searcher.index.encoder.dim,
        extra_body={"kind": "answer"},
    )  # fmt: skip
    np.testing.assert_allclose(
        [one.data[0].embedding], searcher.encode(["배고프다"], kind="answer"), atol=1e-6
    )


def test_other_dimensions_than_the_models_are_refused(service: Service) -> None:
    refused = service.call("POST", "/v1/embeddings", {"input": "밥", "dimensions": 7})
    assert refused.status == 409
    assert "32 dimensions" in refused.json["error"]["message"]


def test_rerank_puts_the_document_that_answers_first(service: Service) -> None:
    documents = [*ANSWERS.values(), "배고프면 밥을 드세요."]
    body = {"query": "배가 고파요", "documents": documents, "top_n": 3, "model": "rerank-v3.5"}
    reply = service.call("POST", "/v1/rerank", body).json
    assert reply["results"][0]["index"] == len(documents) - 1
    assert len(reply["results"]) == 3
    scores = [result["relevance_score"] for result in reply["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert reply["generation"] == "000001"
    del body["top_n"]
    everything = service.call("POST", "/v1/rerank", body).json["results"]
    assert sorted(result["index"] for result in everything) == list(range(len(documents)))
    assert everything[:3] == reply["results"]


def test_feedback_is_stored_once(service: Service, workspace: Path) -> None:
    first = service.call("POST", "/v1/feedback", VOTE)
    again = service.call("POST", "/v1/feedback", VOTE)
    other = service.call("POST", "/v1/feedback", {**VOTE, "client": "user-2", "verdict": "wrong"})
    assert (first.status, again.status, other.status) == (201, 200, 201)
    assert (first.json["stored"], again.json["stored"]) == (True, False)
    stored = list(FeedbackStore.open(workspace).export())
    assert [(each.client, each.id, each.verdict) for each in stored] == [
        ("user-1", "vote-1", "right"), ("user-2", "vote-1", "wrong"),
    ]  # fmt: skip
    assert stored[0].query == VOTE["query"]
    assert stored[0].shown == ("a1", "a2")
    assert stored[0].generation == "000001"
    assert stored[0].time.endswith("+00:00")


def test_feedback_about_an_answer_that_is_not_there_is_refused(service: Service) -> None:
    refused = service.call("POST", "/v1/feedback", {**VOTE, "id": "x", "answer_id": "gone"})
    assert refused.status == 404
    assert refused.json["error"]["code"] == "no_such_answer"


def test_answers_are_found_by_id(service: Service) -> None:
    found = service.call("GET", "/v1/answers/a3")
    assert found.json == {
        "generation": "000001", "id": "a3", "text": ANSWERS["a3"], "metadata": {"topic": "shop"},
    }  # fmt: skip
    assert service.call("GET", "/v1/answers/a99").status == 404


def test_metrics_tell_requests_stages_generation_confidence_and_queue(service: Service) -> None:
    service.call("POST", "/v1/search", {"query": "배고프다"})
    service.call("POST", "/v1/search", {"query": ""})
    text = service.call("GET", "/metrics").body.decode()
    for line in (
        'dotbogi_requests_total{route="/v1/search",status="200"}',
        'dotbogi_requests_total{route="/v1/search",status="422"}',
        'dotbogi_request_seconds_count{route="/v1/search"}',
        'dotbogi_stage_seconds_count{stage="wait"}',
        'dotbogi_stage_seconds_count{stage="search"}',
        'dotbogi_generation_info{name="000001"} 1.0',
        'dotbogi_confidence_bucket{le="0.9"}',
        'dotbogi_queue_waiting{queue="search"} 0.0',
    ):
        assert line in text, line


@pytest.mark.starter
def test_a_table_too_small_to_fit_a_confidence_has_the_default_one(tmp_path: Path) -> None:
    publish(tmp_path / "w", calibrated=False)
    with serving(tmp_path / "w") as service:
        for query, count in (("배고프다", 1), ("xyzzy plugh", 0)):
            body = {"query": query, "k": 1, "min_confidence": "auto"}
            found = service.call("POST", "/v1/search", body)
            assert found.status == 200
            assert len(found.json["results"][0]["hits"]) == count
        refused = service.call("POST", "/v1/search", {"query": "밥", "min_confidence": "some"})
        assert refused.status == 422


def test_the_service_moves_to_a_new_generation_by_itself_or_when_told(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    publish(folder)
    with serving(folder) as service:
        publish(folder, edition=" (둘)")
        told = service.call("POST", "/admin/reload").json
        assert told["generation"] == "000002"
        found = service.call("POST", "/v1/search", {"query": "배고프다", "k": 1})
        assert found.json["results"][0]["hits"][0]["text"].endswith("(둘)")
        assert service.call("POST", "/admin/reload").json["changed"] is False
        publish(folder, edition=" (셋)")
        until = time.monotonic() + 20
        while (now := service.call("GET", "/healthz").json["generation"]) == "000002":
            assert time.monotonic() < until
            time.sleep(0.1)
        assert now == "000003"
        assert '{name="000003"} 1.0' in service.call("GET", "/metrics").body.decode()


def test_a_damaged_generation_leaves_the_one_before_answering(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    publish(folder)
    with serving(folder) as service:
        publish(folder, edition=" (둘)")
        (folder / "generations" / "000002" / "answers.parquet").write_bytes(b"damaged")
        refused = service.call("POST", "/admin/reload")
        assert refused.status == 409
        assert str(folder) not in refused.body.decode()
        found = service.call("POST", "/v1/search", {"query": "배고프다", "k": 1})
        assert found.json["generation"] == "000001"
        assert found.json["results"][0]["hits"][0]["text"] == ANSWERS["a1"]


def test_an_empty_workspace_is_served_and_takes_up_its_first_generation(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    body = {"query": "배고프다", "k": 1}
    with serving(workspace) as service:
        assert service.call("GET", "/healthz").json["status"] == "ok"
        for method, path, sent in (
            ("GET", "/readyz", None),
            ("POST", "/v1/search", body),
            ("POST", "/v1/embeddings", {"model": "x", "input": "배고프다"}),
            ("GET", "/v1/answers/a1", None),
        ):
            refused = service.call(method, path, sent)
            assert (refused.status, refused.json["error"]["code"]) == (503, "nothing_indexed"), path
            assert int(refused.headers["retry-after"]) > 0
        assert service.call("GET", "/", headers={"Accept": "text/html"}).status == 503
        publish(workspace)
        until = time.monotonic() + 30
        while service.call("GET", "/readyz").status != 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert service.call("POST", "/v1/search", body).json["generation"] == "000001"
