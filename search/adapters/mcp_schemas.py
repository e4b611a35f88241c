"""Arguments and result of the tool in `mcp.py`; language models read the descriptions."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Query = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1000,
        description="One question, in the user's own words and language.",
    ),
]
K = Annotated[int, Field(ge=1, le=50, description="The maximum number of answers.")]
Filter = Annotated[
    dict[str, str | list[str]] | None,
    Field(
        description="Only answers with this metadata: for each field one value, or several, any "
        'of which matches, such as {"category": ["배송", "환불"]}.'
    ),
]
MinConfidence = Annotated[
    Annotated[float, Field(ge=0, le=1)] | Literal["auto"],
    Field(
        description="No hits if the first answer is less likely than this to be right; then say "
        "that no answer is known. auto: the threshold of the collection; 0: no threshold.",
    ),
]


class FoundAnswer(BaseModel):
    """One answer of the collection."""

    answer_id: str
    text: str
    score: Annotated[float, Field(description="Higher is better; not a probability.")]
    confidence: Annotated[
        float | None,
        Field(description="The probability that the answer is right; first hit only."),
    ]
    question: Annotated[str | None, Field(description="The known question that matched.")]
    corrected: Annotated[
        str | None, Field(description="What was searched for, if not for the query as typed.")
    ]
    metadata: dict[str, str]


class Found(BaseModel):
    """Answers, best first."""

    generation: Annotated[
        str | None, Field(description="The version of the collection that answered.")
    ]
    hits: list[FoundAnswer]
