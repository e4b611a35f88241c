"""The search inside LangChain, Haystack and MCP, each through the framework itself."""

import asyncio
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from indexes import Answer, Collection, UsageError
from search import Hit, Searcher
from search.adapters.langchain import DotbogiRetriever
from search.index import build_index
from tests.conftest import ANSWERS, LetterEncoder
from tests.service_process import publish
from tests.test_backend import WaitingEncoder

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
