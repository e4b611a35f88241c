"""The search inside LangChain, Haystack and MCP, each through the framework itself."""

import asyncio
from pathlib import Path
from typing import Any

import haystack.telemetry._telemetry
import pytest
from haystack import Pipeline
from haystack.components.builders import PromptBuilder
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

import search.watch
from indexes import Answer, Collection, DotbogiError, UsageError
from search import Hit, Searcher
from search.adapters.haystack import DotbogiRetriever as HaystackRetriever
from search.adapters.langchain import DotbogiRetriever
from search.index import build_index
from tests.conftest import ANSWERS, LetterEncoder
from tests.service_process import publish
from tests.test_backend import WaitingEncoder, wait_until

QUERIES = ["배고프다", "환불 언제", "wifi setting"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published workspace that no test changes."""
    folder = tmp_path_factory.mktemp("adapters") / "w"
    publish(folder)
    return folder


@pytest.fixture(scope="module")
def searcher(folder: Path) -> Searcher:
    return Searcher.open(folder)


# --- LangChain ---


def as_documents(hits: list[Hit], generation: str | None = "000001") -> list[Document]:
    return [
        Document(
            id=hit.answer_id,
            page_content=hit.text,
            metadata={
                "topic": hit.metadata["topic"],
                "score": hit.score,
                "confidence": hit.confidence,
                "question": hit.question,
                "generation": generation,
            },
        )
        for hit in hits
    ]


def test_langchain_gives_the_hits_as_documents(searcher: Searcher) -> None:
    retriever = DotbogiRetriever(searcher=searcher)
    expected = [as_documents(searcher.search(query)) for query in QUERIES]
    assert len(expected[0]) == len(ANSWERS)
    assert expected[0][0].metadata["question"] == "배고프다"
    assert expected[0][0].metadata["confidence"] > 0.8
    assert retriever.invoke(QUERIES[0]) == expected[0]
    assert retriever.batch(QUERIES) == expected
    assert asyncio.run(retriever.abatch(QUERIES)) == expected


def test_langchain_settings_hold_unless_a_call_has_its_own(searcher: Searcher) -> None:
    shop = {"topic": ["shop"]}
    retriever = DotbogiRetriever(searcher=searcher, k=1, where=shop, min_confidence=0)
    expected = as_documents(searcher.search("배고프다", 1, where=shop))
    assert retriever.invoke("배고프다") == expected
    assert expected[0].id in ("a3", "a4")
    assert len(retriever.invoke("배고프다", k=2)) == 2
    assert retriever.invoke("배고프다", where=None)[0].id == "a1"
    assert asyncio.run(retriever.ainvoke("배고프다", where=None))[0].id == "a1"
    assert retriever.invoke("xyz", min_confidence=0.99) == []
    assert DotbogiRetriever(searcher=searcher, min_confidence=0.99).invoke("xyz") == []
    with pytest.raises(TypeError, match="fetch_k"):  # not left out in silence
        retriever.invoke("배고프다", fetch_k=20)
    with pytest.raises(UsageError, match="lone surrogate"):
        retriever.invoke("\ud800")


def test_langchain_chains_go_on_with_the_documents(searcher: Searcher) -> None:
    def texts(documents: list[Document]) -> str:
        return "\n".join(document.page_content for document in documents)

    chain = DotbogiRetriever(searcher=searcher, k=1) | RunnableLambda(texts)
    assert chain.invoke("배고프다") == ANSWERS["a1"]
    assert asyncio.run(chain.ainvoke("환불 언제 되나요")) == ANSWERS["a4"]


def test_langchain_ainvoke_leaves_the_event_loop_free(collection: Collection) -> None:
    encoder = WaitingEncoder()
    retriever = DotbogiRetriever(searcher=Searcher(build_index(collection, encoder)), k=1)
    expected = retriever.invoke("배고프다")
    encoder.wait = True

    async def main() -> list[list[Document]]:
        searches = [asyncio.create_task(retriever.ainvoke("배고프다")) for _ in range(3)]
        await asyncio.sleep(0.05)
        encoder.go_on.set()  # reached only while the searches wait elsewhere
        return list(await asyncio.gather(*searches))

    assert asyncio.run(main()) == [expected] * 3


def test_langchain_names_the_generation_that_answered(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    searcher = Searcher.open(tmp_path / "w")
    retriever = DotbogiRetriever(searcher=searcher, k=1)
    publish(tmp_path / "w", edition=" (2)")
    searcher.reload()
    found = retriever.invoke("배고프다")
    assert found == as_documents(searcher.search("배고프다", 1), "000002")
    assert found[0].page_content == ANSWERS["a1"] + " (2)"


def test_metadata_of_the_search_goes_over_that_of_the_answer() -> None:
    """A column of the table may be named `score`; a threshold on it has to mean ours."""
    collection = Collection([Answer("a", "배고프면 드세요", {"score": "높음", "lang": "ko"})], [])
    searcher = Searcher(build_index(collection, LetterEncoder()))
    (found,) = DotbogiRetriever(searcher=searcher).invoke("배고프다")
    assert found.metadata["score"] == searcher.search("배고프다")[0].score
    assert found.metadata["lang"] == "ko"
    assert found.metadata["generation"] is None


# --- Haystack ---


def answering(retriever: Any) -> Pipeline:
    """A pipeline that writes the retriever's documents into a prompt."""
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    template = "{% for document in documents %}{{ document.content }}\n{% endfor %}"
    pipeline.add_component("prompt", PromptBuilder(template, required_variables=["documents"]))
    pipeline.connect("retriever.documents", "prompt.documents")
    return pipeline


def run(pipeline: Pipeline, query: str, **inputs: Any) -> tuple[list[Any], str]:
    """Return the retriever's documents and the prompt."""
    data = {"retriever": {"query": query, **inputs}}
    found = pipeline.run(data, include_outputs_from={"retriever"})
    return found["retriever"]["documents"], found["prompt"]["prompt"]


def test_haystack_pipelines_get_the_hits_as_documents(folder: Path, searcher: Searcher) -> None:
    pipeline = answering(HaystackRetriever(str(folder), top_k=3))
    for query in QUERIES:
        hits = searcher.search(query, 3)
        documents, prompt = run(pipeline, query)
        assert [(d.id, d.content, d.score) for d in documents] == [
            (hit.answer_id, hit.text, hit.score) for hit in hits
        ]
        assert [d.meta for d in documents] == [
            {
                "topic": hit.metadata["topic"],
                "confidence": hit.confidence,
                "question": hit.question,
                "generation": "000001",
            }
            for hit in hits
        ]
        assert prompt.split("\n") == [*(hit.text for hit in hits), ""]
    found = asyncio.run(pipeline.run_async({"retriever": {"query": QUERIES[0]}}))
    assert found["prompt"]["prompt"].startswith(ANSWERS["a1"])


def test_haystack_settings_hold_unless_a_run_has_its_own(folder: Path, searcher: Searcher) -> None:
    shop = {"topic": "shop"}
    pipeline = answering(HaystackRetriever(str(folder), top_k=1, where=shop))
    (document,) = run(pipeline, "배고프다")[0]
    assert document.id == searcher.search("배고프다", 1, where=shop)[0].answer_id
    assert {d.id for d in run(pipeline, "배고프다", top_k=2)[0]} == {"a3", "a4"}
    assert run(pipeline, "배고프다", where={})[0][0].id == "a1"
    sure = answering(HaystackRetriever(str(folder), min_confidence=0.99))
    assert run(sure, "xyz") == ([], "")


@pytest.mark.parametrize("where", [None, {"topic": ["shop"]}, {"type": "env_var"}])
def test_haystack_pipelines_survive_dumps_and_loads(folder: Path, where: Any) -> None:
    """Haystack takes a setting with a "type" for an object to be built; here it is a field."""
    pipeline = answering(HaystackRetriever(folder, top_k=2, where=where, min_confidence=0.1))
    written = pipeline.dumps()
    loaded = Pipeline.loads(written, allowed_modules=["search.adapters.haystack"])
    assert loaded.dumps() == written
    assert loaded.get_component("retriever").to_dict()["init_parameters"] == {
        "workspace": str(folder), "top_k": 2, "where": where, "min_confidence": 0.1,
    }  # fmt: skip
    assert run(loaded, "환불 언제 되나요") == run(pipeline, "환불 언제 되나요")


def test_haystack_opens_the_workspace_once_and_only_to_search(tmp_path: Path) -> None:
    retriever = HaystackRetriever(str(tmp_path / "w"))
    pipeline = answering(retriever)
    assert "retriever" in pipeline.dumps()
    with pytest.raises(DotbogiError, match="Run: dotbogi index TABLE"):
        run(pipeline, "배고프다")
    publish(tmp_path / "w")
    pipeline.warm_up()
    opened = retriever._searcher
    assert opened
    run(pipeline, "배고프다")
    assert retriever._searcher is opened


def test_haystack_pipelines_move_to_new_generations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.watch, "EVERY", 0.02)
    publish(tmp_path / "w")
    pipeline = answering(HaystackRetriever(str(tmp_path / "w"), top_k=1))
    assert run(pipeline, "배고프다")[1] == ANSWERS["a1"] + "\n"
    publish(tmp_path / "w", edition=" (2)")
    wait_until(lambda: run(pipeline, "배고프다")[1] == ANSWERS["a1"] + " (2)\n")
    assert run(pipeline, "배고프다")[0][0].meta["generation"] == "000002"


def test_no_test_tells_posthog_about_a_pipeline() -> None:
    assert haystack.telemetry._telemetry.telemetry is None
