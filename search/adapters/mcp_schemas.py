"""Arguments and result of the tool in `mcp.py`; models read the descriptions."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Query = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1000,
        description="One question, in the words and the language of whoever asks it.",
    ),
]
K = Annotated[int, Field(ge=1, le=50, description="How many answers at most.")]
Filter = Annotated[
    dict[str, str | list[str]] | None,
    Field(
        description="Only answers with these metadata: a value for each field, or a list of which "
        'any will do, such as {"category": ["배송", "환불"]}.'
    ),
]
MinConfidence = Annotated[
    Annotated[float, Field(ge=0, le=1)] | Literal["auto"],
    Field(
        description="No hits at all if the first answer is right with a lower probability: then "
        "say that no answer is known. auto: the threshold that fits the collection; 0: none.",
    ),
]


class FoundAnswer(BaseModel):
    """One answer of the collection."""

    answer_id: str
    text: str
    score: Annotated[float, Field(description="Higher is better; not a probability.")]
    confidence: Annotated[
        float | None,
        Field(description="The probability that it is right; of the first hit alone."),
    ]
    question: Annotated[str | None, Field(description="The known question that matched.")]
    metadata: dict[str, str]


class Found(BaseModel):
    """Answers, best first."""

    generation: Annotated[
        str | None, Field(description="Names the state of the collection that answered.")
    ]
    hits: list[FoundAnswer]
