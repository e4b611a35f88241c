"""The search inside LangChain, Haystack and MCP, each through the framework itself."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import haystack.telemetry._telemetry
import mcp
import pytest
from conftest import ANSWERS, LetterEncoder
from haystack import Pipeline
from haystack.components.builders import PromptBuilder
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from mcp.client.stdio import stdio_client
from service_process import ROOT, publish
from test_backend import WaitingEncoder, wait_until

import dotbogi.cli
import dotbogi.search.watch
from dotbogi.indexes import Answer, Collection, DotbogiError, UsageError
from dotbogi.search import Hit, Searcher
from dotbogi.search.adapters.haystack import DotbogiRetriever as HaystackRetriever
from dotbogi.search.adapters.langchain import DotbogiRetriever
from dotbogi.search.calibration import DEFAULT
from dotbogi.search.index import build_index

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


# --- the page ---


def examples(language: str) -> list[str]:
    page = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_page_run_as_written(
    folder: Path,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "workspace").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    exec(examples("python")[number], {})
    assert ANSWERS["a1"] in capsys.readouterr().out


def test_the_configuration_of_the_page_is_of_this_command() -> None:
    (text,) = examples("json")
    (server,) = json.loads(text)["mcpServers"].values()
    assert Path(server["command"]).name == "dotbogi"
    assert server["args"][:2] == ["mcp", "--workspace"]
    assert "mcp" in dotbogi.cli.main.commands


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
                "corrected": hit.corrected,
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
                "corrected": hit.corrected,
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
    loaded = Pipeline.loads(written, allowed_modules=["dotbogi.search.adapters.haystack"])
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
    monkeypatch.setattr(dotbogi.search.watch, "EVERY", 0.02)
    publish(tmp_path / "w")
    pipeline = answering(HaystackRetriever(str(tmp_path / "w"), top_k=1))
    assert run(pipeline, "배고프다")[1] == ANSWERS["a1"] + "\n"
    publish(tmp_path / "w", edition=" (2)")
    wait_until(lambda: run(pipeline, "배고프다")[1] == ANSWERS["a1"] + " (2)\n")
    assert run(pipeline, "배고프다")[0][0].meta["generation"] == "000002"


def test_no_test_tells_posthog_about_a_pipeline() -> None:
    assert haystack.telemetry._telemetry.telemetry is None


# --- MCP ---

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(workspace: Path) -> list[str]:
    return [sys.executable, str(ROOT / "cli.py"), "mcp", "--workspace", str(workspace)]


def with_client(
    workspace: Path, work: Callable[[mcp.Client], Awaitable[None]], *, mode: str = "auto"
) -> None:
    """Do some work with the SDK's client and a `dotbogi mcp` of its own, which logs nothing."""
    program, *arguments = command(workspace)
    server = mcp.StdioServerParameters(
        command=program, args=arguments, cwd=str(ROOT), env=ENVIRONMENT
    )

    async def main(log: Any) -> None:
        async with mcp.Client(stdio_client(server, errlog=log), mode=mode) as client:
            await work(client)

    log_path = workspace.parent / "mcp.log"
    with log_path.open("w", encoding="utf-8") as log:
        asyncio.run(main(log))
    assert log_path.read_text(encoding="utf-8") == ""


async def ask(client: mcp.Client, **arguments: Any) -> Any:
    """Return the structured result of a call that succeeds."""
    result = await client.call_tool("search_answers", arguments)
    assert not result.is_error, result.content
    assert [json.loads(part.text) for part in result.content] == [result.structured_content]
    return result.structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])  # without and with the older handshake
def test_mcp_has_one_tool_that_answers_as_the_searcher_does(
    folder: Path, searcher: Searcher, mode: str
) -> None:
    def expected(*arguments: Any, **settings: Any) -> Any:
        fields = (
            "answer_id", "text", "score", "confidence", "question", "corrected", "metadata",
        )  # fmt: skip
        hits = searcher.search(*arguments, **settings)
        return {
            "generation": "000001",
            "hits": [{name: getattr(hit, name) for name in fields} for hit in hits],
        }

    async def work(client: mcp.Client) -> None:
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "search_answers"
        assert tool.annotations.read_only_hint
        shown = tool.input_schema["properties"]
        assert list(shown) == ["query", "k", "where", "min_confidence"]
        assert all(argument["description"] for argument in shown.values())
        assert (shown["k"]["minimum"], shown["k"]["maximum"]) == (1, 50)
        assert shown["query"]["maxLength"] == 1000
        assert list(tool.output_schema["properties"]) == ["generation", "hits"]
        for query in QUERIES:
            assert await ask(client, query=query) == expected(query, 5, min_confidence="auto")
        where = {"topic": ["shop"]}
        found = await ask(client, query="배고프다", k=1, where=where, min_confidence=0)
        assert found == expected("배고프다", 1, where=where)
        assert found["hits"][0]["metadata"] == {"topic": "shop"}
        assert (await ask(client, query="xyz", min_confidence=0.99))["hits"] == []
        long = "가" * 1000
        assert await ask(client, query=long, k=50, min_confidence=0) == expected(long, 50)

    with_client(folder, work, mode=mode)


WRONG = [
    ({"query": "배고프다", "k": 0}, "k: Input should be greater than or equal to 1"),
    ({"query": "배고프다", "k": 51}, "k: Input should be less than or equal to 50"),
    ({"query": "배고프다", "k": "many"}, "k: Input should be a valid integer"),
    ({"query": "가" * 1001}, "query: String should have at most 1000 characters"),
    ({"query": ""}, "query: String should have at least 1 character"),
    ({"query": ["배고프다"]}, "query: Input should be a valid string"),
    ({"k": 5}, "query: Field required"),
    ({}, "query: Field required"),
    ({"query": "배고프다", "where": "shop"}, "where: Input should be a valid dictionary"),
    ({"query": "배고프다", "where": {"한\n줄": {"": 1}}}, "where: Input should be a valid string"),
    ({"query": "배고프다", "min_confidence": 2}, "min_confidence: Input should be less than"),
    ({"query": "배고프다", "filter": {}}, "expected only the arguments query, k, where, min_conf"),
]


def test_mcp_says_what_is_wrong_in_one_line_and_goes_on(folder: Path) -> None:
    async def work(client: mcp.Client) -> None:
        for arguments, message in WRONG:
            result = await client.call_tool("search_answers", arguments)
            (part,) = result.content
            assert result.is_error
            assert part.text.startswith(message)
            assert "\n" not in part.text
            assert len(part.text) < 200
        assert (await client.call_tool("search", {"query": "배고프다"})).is_error
        assert len((await ask(client, query="배고프다"))["hits"]) == 5

    with_client(folder, work)


@pytest.mark.starter
def test_mcp_answers_from_a_new_generation_without_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    publish(folder, calibrated=False)

    async def work(client: mcp.Client) -> None:
        found = await ask(client, query="배고프다", k=1)
        assert found["generation"] == "000001"
        assert found["hits"][0]["confidence"] >= DEFAULT.threshold
        strange = {"query": "xyzzy plugh"}
        assert (await ask(client, **strange))["hits"] == []  # the threshold, unless another
        assert len((await ask(client, **strange, min_confidence=0))["hits"]) == 5
        publish(folder, edition=" (2)")
        async with asyncio.timeout(30):
            while (found := await ask(client, query="배고프다", k=1))["generation"] == "000001":
                await asyncio.sleep(0.1)
        assert found["generation"] == "000002"
        assert found["hits"][0]["text"] == ANSWERS["a1"] + " (2)"
        assert found["hits"][0]["confidence"] > 0.8

    with_client(folder, work)


def line(number: int, method: str, params: Any) -> bytes:
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(request).encode() + b"\n"


HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [(None, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)],
)
def test_mcp_survives_bad_lines_and_ends_in_silence(
    folder: Path, end: signal.Signals | None, exit_code: int
) -> None:
    """What no client of the SDK sends: half a letter, and what is no JSON at all."""
    process = subprocess.Popen(
        command(folder), cwd=ROOT, env=ENVIRONMENT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    half = {"name": "search_answers", "arguments": {"query": "\ud800"}}
    whole = {"name": "search_answers", "arguments": {"query": "배고프다", "k": 1}}
    process.stdin.write(line(1, "initialize", HELLO))
    process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    process.stdin.write(line(2, "tools/call", half) + b"no JSON\n\xff\n" + b"[" * 10_000 + b"\n")
    process.stdin.write(line(3, "tools/call", whole))
    process.stdin.flush()
    replies = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [reply["id"] for reply in replies] == [1, 3]  # the SDK leaves out what it cannot read
    assert replies[1]["result"]["structuredContent"]["hits"][0]["text"] == ANSWERS["a1"]
    if end is not None:
        process.send_signal(end)
        process.wait(10)  # while stdin is open
    rest, errors = process.communicate(timeout=20)
    assert process.returncode == exit_code
    assert (rest, errors) == (b"", b"")


def test_mcp_says_what_to_run_where_nothing_is_indexed(tmp_path: Path) -> None:
    found = subprocess.run(
        command(tmp_path / "w"), cwd=ROOT, input=b"", capture_output=True, timeout=60
    )
    assert (found.returncode, found.stdout) == (1, b"")
    assert found.stderr.decode().count("\n") == 1
    assert "Run: dotbogi index TABLE" in found.stderr.decode()


WITHOUT_MCP = """
import sys

class Missing:
    def find_spec(name, path=None, target=None):
        if name == "mcp":
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Missing)
import dotbogi.cli

dotbogi.cli.main()
"""


def test_mcp_says_what_to_install(folder: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_MCP, "mcp", "--workspace", str(folder)],
        cwd=ROOT, input="", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (1, "")
    expected = 'Error: the package mcp is missing. Run: pip install "dotbogi[mcp]"\n'
    assert found.stderr == expected
