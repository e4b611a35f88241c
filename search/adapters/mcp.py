"""Search as a tool of the Model Context Protocol. Needs the extra `mcp`."""

import signal
from importlib.metadata import version
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import ValidationError

from dotbogi.indexes.errors import DotbogiError
from dotbogi.search.adapters.mcp_schemas import Filter, Found, K, MinConfidence, Query
from dotbogi.search.searcher import Searcher

_ARGUMENTS = ("query", "k", "where", "min_confidence")


class _Server(MCPServer[Any]):
    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        if not arguments.keys() <= set(_ARGUMENTS):  # a misspelt filter would be ignored
            raise ToolError(f"expected only the arguments {', '.join(_ARGUMENTS)}")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:  # the SDK reports its cause in several lines or not at all
            if isinstance(error.__cause__, ValidationError):
                raise ToolError("{loc[0]}: {msg}".format(**error.__cause__.errors()[0])) from None
            if isinstance(error.__cause__, DotbogiError):
                raise ToolError(str(error.__cause__)) from None
            raise


def serve(workspace: str) -> None:
    """Serve over stdin and stdout until stdin ends, always from the published generation.

    Raises:
        DotbogiError: nothing is indexed there.
    """
    with Searcher.open(workspace, watch=True) as searcher:
        searcher.search("ready")  # load everything before the first call
        server = _Server("dotbogi", version=version("dotbogi"))

        @server.tool(annotations=ToolAnnotations(read_only_hint=True))
        def search_answers(
            query: Query, k: K = 5, where: Filter = None, min_confidence: MinConfidence = "auto"
        ) -> Found:
            """Find answers to a question in a curated collection of answers, best first."""
            reply = searcher.reply([query], k, where=where, min_confidence=min_confidence)
            content = {"generation": reply.generation, "hits": reply.results[0]}
            return Found.model_validate(content, from_attributes=True)

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the SDK would wait for the end of stdin
        server.run()
