"""Bodies of requests and replies, as /openapi.json shows them.

The bounds that can be set are named types without a number here: `bounds.py` checks them, and
writes them into the OpenAPI document.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypeAliasType

from dotbogi.search.feedback import Verdict


def _integral(value: Any) -> Any:
    """Return 5 for 5.0: to JSON they are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Positive = Annotated[int, Field(ge=1), BeforeValidator(_integral)]
Query = TypeAliasType("Query", Annotated[str, Field(min_length=1, description="As typed.")])
Text = TypeAliasType("Text", Annotated[str, Field(min_length=1)])
Queries = TypeAliasType("Queries", Annotated[list[Query], Field(min_length=1)])
Texts = TypeAliasType("Texts", Annotated[list[Text], Field(min_length=1)])
K = TypeAliasType("K", Annotated[_Positive, Field(description="Answers a query.")])
Shown = TypeAliasType("Shown", Annotated[list["AnswerId"], Field(min_length=0)])
AnswerId = TypeAliasType("AnswerId", Annotated[str, Field(min_length=1, max_length=200)])
_Value = Annotated[str, Field(max_length=200)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
_Model = Annotated[
    str | None,
    Field(max_length=200, description="Any; the published model answers, and the reply names it."),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Guest(_Body):
    """A body in the shape of another service, whose further fields are left alone."""

    model_config = ConfigDict(extra="ignore")


class _Search(_Body):
    k: K = 10
    where: Annotated[
        dict[_Value, _Value | Annotated[list[_Value], Field(max_length=100)]] | None,
        Field(
            max_length=20,
            description="Only answers with these metadata: one value, or any of several.",
        ),
    ] = None
    min_confidence: Annotated[
        Annotated[float, Field(ge=0, le=1)] | Literal["auto"] | None,
        Field(
            description="Below this P(the first answer is right): no hits. auto: the threshold "
            "that was fitted for the generation."
        ),
    ] = None
    explain: Annotated[bool, Field(description="Add what each score is made of.")] = False


class SearchOne(_Search):
    """One query."""

    query: Query


class SearchMany(_Search):
    """Several queries, answered by one generation."""

    queries: Queries


def _one_or_many(body: Any) -> str:
    return "many" if isinstance(body, dict) and "queries" in body else "one"


SearchBody = Annotated[
    Annotated[SearchOne, Tag("one")] | Annotated[SearchMany, Tag("many")],
    Discriminator(_one_or_many),
]


class EmbeddingsBody(_Guest):
    """OpenAI's shape; `kind` is ours."""

    input: Text | Texts
    model: _Model = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[
        _Positive | None, Field(description="If given, the length that the vectors have.")
    ] = None
    kind: Annotated[
        Literal["query", "answer"], Field(description="Which prompt of the model goes before it.")
    ] = "query"


class RerankBody(_Guest):
    """Cohere's shape."""

    query: Query
    documents: Texts
    top_n: _Positive | None = None
    model: _Model = None


class FeedbackBody(_Body):
    """What a user says about an answer that was shown."""

    id: Annotated[_Name, Field(description="Made by the client; sent again it is stored once.")]
    client: Annotated[_Name, Field(description="Who votes: a random id of the user or session.")]
    query: Query
    shown: Annotated[Shown, Field(description="Ids of the answers shown, best first.")]
    answer_id: Annotated[AnswerId, Field(description="The answer that the verdict is about.")]
    verdict: Annotated[
        Verdict, Field(description="best: right, and of all right answers the one to come first.")
    ]
    generation: Annotated[
        str, Field(pattern=r"^[0-9]{6,12}$", description="As the search's reply named it.")
    ]


BODIES: tuple[type[BaseModel], ...] = (
    SearchOne, SearchMany, EmbeddingsBody, RerankBody, FeedbackBody,
)  # fmt: skip


class Signal(BaseModel):
    """Where one signal placed the answer."""

    rank: int
    score: float


class Explanation(BaseModel):
    """What a score is made of."""

    parts: Annotated[dict[str, float], Field(description="They add up to the score.")]
    words: Annotated[list[str], Field(description="Of the query that the answer has too.")]


class SearchHit(BaseModel):
    """One ranked answer."""

    answer_id: str
    text: str
    score: float
    confidence: Annotated[float | None, Field(description="Of the first hit, after `train`.")]
    question: Annotated[str | None, Field(description="The known question that matched.")]
    metadata: dict[str, str]
    signals: dict[str, Signal]
    explanation: Explanation | None = None


class SearchResult(BaseModel):
    """The hits of one query, best first; none if no answer is good enough."""

    hits: list[SearchHit]


class SearchReply(BaseModel):
    """A result for each query, in their order, all of one generation."""

    generation: str
    results: list[SearchResult]


class AnswerReply(BaseModel):
    """One answer."""

    generation: str
    id: str
    text: str
    metadata: dict[str, str]


class Embedding(BaseModel):
    """The unit vector of one text."""

    object: Literal["embedding"]
    index: int
    embedding: Annotated[
        list[float] | str, Field(description="A string is base64 of little-endian float32.")
    ]


class Usage(BaseModel):
    """Tokens that the model has read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage
    generation: str


class RerankResult(BaseModel):
    """One document, by its place in the request."""

    index: int
    relevance_score: Annotated[float, Field(ge=0, le=1)]


class RerankReply(BaseModel):
    """The documents, best first."""

    id: str
    results: list[RerankResult]
    meta: dict[str, Any]
    generation: str


class FeedbackReply(BaseModel):
    """`stored` is false for feedback that was there already."""

    stored: bool
    generation: str


class ReloadReply(BaseModel):
    """The generation that answers now."""

    generation: str
    changed: bool


class StateReply(BaseModel):
    """How the service is."""

    status: Literal["ok", "ready"]
    generation: str


class ErrorDetail(BaseModel):
    """What went wrong, without anything of the request."""

    code: str
    message: str
    request_id: str


class ErrorReply(BaseModel):
    """Every error of every route."""

    error: ErrorDetail
