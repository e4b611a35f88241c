"""Bodies of requests and replies, as /openapi.json shows them.

Fields with configurable limits have named types, without the limits: `bounds.py` checks these and
writes them into the OpenAPI document.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypeAliasType

from dotbogi.search.feedback import Verdict
from dotbogi.search.searcher import Problem


def _integral(value: Any) -> Any:
    """Return 5 for 5.0: in JSON they are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Positive = Annotated[int, Field(ge=1), BeforeValidator(_integral)]
Query = TypeAliasType("Query", Annotated[str, Field(min_length=1, description="As typed.")])
Text = TypeAliasType("Text", Annotated[str, Field(min_length=1)])
Queries = TypeAliasType("Queries", Annotated[list[Query], Field(min_length=1)])
Texts = TypeAliasType("Texts", Annotated[list[Text], Field(min_length=1)])
K = TypeAliasType("K", Annotated[_Positive, Field(description="Answers per query.")])
Shown = TypeAliasType("Shown", Annotated[list["AnswerId"], Field(min_length=0)])
AnswerId = TypeAliasType("AnswerId", Annotated[str, Field(min_length=1, max_length=200)])
_Value = Annotated[str, Field(max_length=200)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
_Model = Annotated[
    str | None,
    Field(max_length=200, description="Ignored: the published model is used; the reply names it."),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _ForeignBody(_Body):
    """A body in the format of another service, whose other fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class _Search(_Body):
    k: K = 10
    where: Annotated[
        dict[_Value, _Value | Annotated[list[_Value], Field(max_length=100)]] | None,
        Field(
            max_length=20,
            description="Only answers with this metadata: per field one value, or any of several.",
        ),
    ] = None
    min_confidence: Annotated[
        Annotated[float, Field(ge=0, le=1)] | Literal["auto"] | None,
        Field(
            description="No hits if P(the first answer is right) is below this. auto: the "
            "threshold fitted for the generation."
        ),
    ] = None
    explain: Annotated[bool, Field(description="Add an explanation of each score.")] = False


class SearchOne(_Search):
    """One query."""

    query: Query


class SearchMany(_Search):
    """Several queries, all answered by one generation."""

    queries: Queries


def _one_or_many(body: Any) -> str:
    return "many" if isinstance(body, dict) and "queries" in body else "one"


SearchBody = Annotated[
    Annotated[SearchOne, Tag("one")] | Annotated[SearchMany, Tag("many")],
    Discriminator(_one_or_many),
]


class EmbeddingsBody(_ForeignBody):
    """OpenAI's format; `kind` is an addition."""

    input: Text | Texts
    model: _Model = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[
        _Positive | None, Field(description="If given, must be the length of the vectors.")
    ] = None
    kind: Annotated[
        Literal["query", "answer"],
        Field(description="Which of the model's prompts is used."),
    ] = "query"


class RerankBody(_ForeignBody):
    """Cohere's format."""

    query: Query
    documents: Texts
    top_n: _Positive | None = None
    model: _Model = None


class FeedbackBody(_Body):
    """A user's verdict on an answer."""

    id: Annotated[_Name, Field(description="Chosen by the client; if sent twice, stored once.")]
    client: Annotated[_Name, Field(description="Who votes: a random id of the user or session.")]
    query: Query
    shown: Annotated[Shown, Field(description="Ids of the answers shown, best first.")]
    answer_id: Annotated[AnswerId, Field(description="The answer that the verdict is about.")]
    verdict: Annotated[
        Verdict, Field(description="best: right, and should come before other right answers.")
    ]
    generation: Annotated[
        str,
        Field(pattern=r"^[0-9]{6,12}$", description="The generation of the search reply."),
    ]


BODIES: tuple[type[BaseModel], ...] = (
    SearchOne, SearchMany, EmbeddingsBody, RerankBody, FeedbackBody,
)  # fmt: skip


class Signal(BaseModel):
    """The answer's rank and score in one signal."""

    rank: int
    score: float


class Explanation(BaseModel):
    """What a score is made of."""

    parts: Annotated[dict[str, float], Field(description="They add up to the score.")]
    words: Annotated[list[str], Field(description="Query words in the answer or known question.")]


class SearchHit(BaseModel):
    """One ranked answer."""

    answer_id: str
    text: str
    score: float
    confidence: Annotated[float | None, Field(description="P(it is right); first hit only.")]
    question: Annotated[str | None, Field(description="The known question that matched.")]
    corrected: Annotated[
        str | None, Field(description="What was searched for, if not for the query as typed.")
    ]
    metadata: dict[str, str]
    signals: dict[str, Signal]
    explanation: Explanation | None = None


class SearchResult(BaseModel):
    """The hits of one query, best first; none if no answer is good enough."""

    hits: list[SearchHit]


class SearchReply(BaseModel):
    """One result per query, in their order, all from one generation."""

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
    """The number of tokens that the model has read."""

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
    """One document, by its position in the request."""

    index: int
    relevance_score: Annotated[float, Field(ge=0, le=1)]


class RerankReply(BaseModel):
    """The documents, best first."""

    id: str
    results: list[RerankResult]
    meta: dict[str, Any]
    generation: str


class FeedbackReply(BaseModel):
    """`stored` is false if the feedback was stored already."""

    stored: bool
    generation: str


class ReloadReply(BaseModel):
    """The generation that answers now."""

    generation: str
    changed: bool


class StateReply(BaseModel):
    """The state of the service."""

    status: Literal["ok", "ready"]
    generation: str


class ReadyReply(StateReply):
    """The state of the service; searches are answered even if there is a problem."""

    problem: (
        Annotated[
            Problem,
            Field(
                description="What is wrong on the disk, if anything. The open generation answers."
            ),
        ]
        | None
    ) = None


class ErrorDetail(BaseModel):
    """What went wrong, without quoting the request."""

    code: str
    message: str
    request_id: str


class ErrorReply(BaseModel):
    """The body of every error response."""

    error: ErrorDetail
