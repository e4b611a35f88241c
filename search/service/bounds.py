"""The configurable limits of request bodies: checked, and written into the OpenAPI document."""

from typing import Any

from dotbogi.search.service.errors import ServiceError
from dotbogi.search.service.schemas import (
    EmbeddingsBody,
    FeedbackBody,
    RerankBody,
    SearchMany,
    SearchOne,
)
from dotbogi.search.service.settings import Settings

# What a request costs is counted in characters, each about 0.2 ms of a core at most.
_EACH = 30  # of a query or a text, however short
_READ = 1_500  # of a text at most: models cut off what is longer
_EXPLAINED = 3  # times as much: a second search, and the words of every answer found


def check_search(body: SearchOne | SearchMany, settings: Settings) -> list[str]:
    """Return the queries of a search after checking its limits.

    Raises:
        ServiceError: it is over a limit.
    """
    queries = [body.query] if isinstance(body, SearchOne) else body.queries
    _at_most("k", body.k, settings.max_k)
    _at_most("queries", len(queries), settings.max_batch)
    for query in queries:
        _at_most("characters of a query", len(query), settings.max_query)
    cost = sum(len(query) + _EACH + body.k for query in queries)
    _check_cost(cost * (_EXPLAINED if body.explain else 1), settings)
    return queries


def check_embeddings(body: EmbeddingsBody, settings: Settings) -> list[str]:
    """Return the texts to embed after checking their limits.

    Raises:
        ServiceError: they are over a limit.
    """
    texts = [body.input] if isinstance(body.input, str) else body.input
    _check_texts("input", texts, settings)
    return texts


def check_rerank(body: RerankBody, settings: Settings) -> None:
    """Check the limits of a request to rerank.

    Raises:
        ServiceError: it is over a limit.
    """
    _at_most("characters of a query", len(body.query), settings.max_query)
    _check_texts("documents", body.documents, settings)


def _check_cost(cost: int, settings: Settings) -> None:
    if cost > settings.max_cost:
        raise ServiceError(
            422, "over_limit",
            f"The request costs {cost}, more than the limit of {settings.max_cost}. "
            "Send fewer or shorter texts, or a smaller k.",
        )  # fmt: skip


def check_feedback(body: FeedbackBody, settings: Settings) -> None:
    """Check the limits of feedback, which are those of a search.

    Raises:
        ServiceError: it is over a limit.
    """
    _at_most("characters of a query", len(body.query), settings.max_query)
    _at_most("shown", len(body.shown), settings.max_k)


def _check_texts(name: str, texts: list[str], settings: Settings) -> None:
    _at_most(name, len(texts), settings.max_batch)
    for text in texts:
        _at_most(f"characters of a text in {name}", len(text), settings.max_text)
    _check_cost(sum(min(len(text), _READ) + _EACH for text in texts), settings)


def _at_most(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise ServiceError(422, "over_limit", f"{what}: more than the limit of {limit}.")


def write_bounds(schemas: dict[str, Any], settings: Settings) -> None:
    """Write the limits into the named types of an OpenAPI document."""
    schemas["Query"]["maxLength"] = settings.max_query
    schemas["Text"]["maxLength"] = settings.max_text
    schemas["Queries"]["maxItems"] = settings.max_batch
    schemas["Texts"]["maxItems"] = settings.max_batch
    schemas["K"]["maximum"] = settings.max_k
    schemas["Shown"]["maxItems"] = settings.max_k
