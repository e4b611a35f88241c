"""A collection as the rows of a table: one for each known question."""

from collections.abc import Iterator
from dataclasses import replace

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.tables.layout import (
    ANSWER,
    ANSWER_ID,
    BEGINNING,
    OPPOSED,
    ORIGIN,
    PREFERRED,
    QUESTION,
    column_of,
)


def columns_of(collection: Collection) -> list[str]:
    """Return the columns of the table, metadata last; counts of votes only if there are any."""
    votes = {name for question in collection.questions for name in _votes(question)}
    metadata = dict.fromkeys(name for answer in collection.answers for name in answer.metadata)
    return [
        *BEGINNING,
        *(name for name in (PREFERRED, OPPOSED) if name in votes),
        *map(column_of, metadata),
    ]


def rows_of(collection: Collection) -> Iterator[dict[str, str]]:
    """Yield the rows: the known questions in their order, then the answers without one.

    Every row has the first columns of an export; others that are blank are left out. Metadata is in
    every row of its answer, so that a spreadsheet can filter by it. Another id of an answer is a
    row at the end, without a question.
    """
    answers = {answer.id: answer for answer in collection.answers}
    for question in collection.questions:
        answer = answers[question.answer_id]
        yield {**_row(question.text, answer), **_votes(question), **_metadata(answer)}
    asked = {question.answer_id for question in collection.questions}
    for answer in collection.answers:
        if answer.id not in asked:
            yield {**_row("", answer), **_metadata(answer)}
    for answer in collection.answers:
        for alias in answer.aliases:
            yield _row("", replace(answer, id=alias))


def _row(question: str, answer: Answer) -> dict[str, str]:
    return {QUESTION: question, ANSWER: answer.text, ANSWER_ID: answer.id, ORIGIN: ""}


def _votes(question: KnownQuestion) -> dict[str, str]:
    counts = {PREFERRED: question.preferred, OPPOSED: question.opposed}
    origin = {ORIGIN: question.origin} if question.origin else {}
    return {**origin, **{name: str(count) for name, count in counts.items() if count}}


def _metadata(answer: Answer) -> dict[str, str]:
    return {column_of(name): value for name, value in answer.metadata.items()}
