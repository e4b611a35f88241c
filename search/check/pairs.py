"""Findings about how questions and answers are paired."""

from collections import defaultdict
from collections.abc import Iterator

from dotbogi.indexes.text import same_text_key
from dotbogi.search.check.finding import Finding, Kind
from dotbogi.search.check.reading import Pairs, Question


def repeated_questions(pairs: Pairs) -> Iterator[Finding]:
    """Yield questions that several rows have, with different answers."""
    alike: dict[str, list[Question]] = defaultdict(list)
    for question in pairs.questions:
        alike[same_text_key(question.text)].append(question)
    for questions in alike.values():
        texts = {
            same_text_key(pairs.answers[q.answer].text): pairs.answers[q.answer].text
            for q in questions
        }
        if len(texts) > 1:
            rows = [question.row for question in questions]
            advice = "Keep one answer, merge them, or say in the questions how they differ."
            yield Finding.of(
                Kind.REPEATED_QUESTION, rows, [questions[0].text, *texts.values()], advice
            )


def contradictory_ids(pairs: Pairs) -> Iterator[Finding]:
    """Yield rows that are left out because their id belongs to another text."""
    for row, answer in pairs.contradictions:
        advice = (
            f"Left out: the id {row.answer_id!r} belongs to another text, in row {answer.rows[0]}. "
            "Give this answer an id of its own, or make the texts one."
        )
        yield Finding.of(Kind.CONTRADICTORY_ROW, [row.number], [row.answer, answer.text], advice)


def answers_without_question(pairs: Pairs) -> Iterator[Finding]:
    """Yield answers that no row asks for; one finding for all of them if most answers are such."""
    asked = {question.answer for question in pairs.questions}
    unasked = [answer for place, answer in enumerate(pairs.answers) if place not in asked]
    if 2 * len(unasked) > len(pairs.answers):
        advice = (
            "Most answers have no question. Search finds them by their own words alone; one or two "
            "questions for the most wanted ones help."
        )
        rows = [answer.rows[0] for answer in unasked]
        yield Finding.of(Kind.NO_QUESTION, rows, [answer.text for answer in unasked[:2]], advice)
        return
    for answer in unasked:
        advice = "Write a question or two, in the words that people use."
        yield Finding.of(Kind.NO_QUESTION, answer.rows, [answer.text], advice)
