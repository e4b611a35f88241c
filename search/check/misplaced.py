"""Findings about questions that are nearer to another answer than to their own."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.text import same_text_key
from dotbogi.search.check.finding import Finding, Kind
from dotbogi.search.check.neighbours import FEWEST_ANSWERS, Neighbours

# A question is misplaced if it is far from its own answer and another is nearer, and if this is
# rare in the table. In small talk it is common: the encoder cannot tell, and nothing is reported.
# With 3% of the questions moved at random, this found 88% of them on welfare_qa.csv, and reported
# 0.9% of the others; on chatbot.csv it found and reported nothing.
_FAR = 0.15
_NEARER = 0.25
_DEVIATIONS = 2.75  # of the table's margins, by the median absolute deviation
_ANSWER_BONUS = 0.1  # a question is nearer to questions than to answers (docs/design.md, Fusion)
_OTHER_WORDS = 0.72  # answers at least so near say the same, or nearly
_FEWEST_QUESTIONS = 30
_AT_ONCE = 512  # questions compared with all others at a time


def misplaced_questions(near: Neighbours) -> Iterator[Finding]:
    """Yield questions that another answer, or its questions, fit far better than their own.

    Each question is compared as if the table did not have it, nor a variant of it.
    """
    pairs = near.pairs
    if len(pairs.questions) < _FEWEST_QUESTIONS or len(pairs.answers) < FEWEST_ANSWERS:
        return
    own, other, best = _scores(near)
    margin = other - own
    middle = np.median(margin)
    deviation = 1.4826 * np.median(np.abs(margin - middle))
    clear = (own < _FAR) & (margin > max(_NEARER, middle + _DEVIATIONS * deviation))
    answers_of: dict[str, set[int]] = {}
    for question in pairs.questions:
        answers_of.setdefault(same_text_key(question.text), set()).add(question.answer)
    for place in sorted(np.flatnonzero(clear).tolist(), key=lambda place: -margin[place]):
        question = pairs.questions[place]
        if len(answers_of[same_text_key(question.text)]) > 1:
            continue  # reported as a repeated question
        nearer = pairs.answers[best[place]]
        texts = [question.text, pairs.answers[question.answer].text, nearer.text]
        advice = f"The answer of row {nearer.rows[0]} fits better. Move the question, or reword it."
        yield Finding.of(Kind.MISPLACED_QUESTION, [question.row], texts, advice)


def _scores(near: Neighbours) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Return each question's score with its own answer, the best other score, and that answer."""
    pairs = near.pairs
    owners = np.asarray([question.answer for question in pairs.questions])
    keys = np.unique([same_text_key(q.text) for q in pairs.questions], return_inverse=True)[1]
    order = np.argsort(owners, kind="stable")  # the questions of one answer side by side
    asked, starts = np.unique(owners[order], return_index=True)
    own = np.empty(len(owners), np.float32)
    other, best = np.empty_like(own), np.empty(len(owners), np.intp)
    for start in range(0, len(owners), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        to_questions = near.questions[part] @ near.questions.T
        to_questions[keys[part, None] == keys[None]] = -1  # itself and its variants
        scores = near.questions[part] @ near.answers.T + _ANSWER_BONUS
        of_questions = np.maximum.reduceat(to_questions[:, order], starts, axis=1)
        rows, mine = np.arange(len(scores)), owners[part]
        own[part] = np.maximum(scores[rows, mine], of_questions[rows, np.searchsorted(asked, mine)])
        # Another answer needs two witnesses, itself and a question; single ones are often chance.
        scores[:, asked] = (scores[:, asked] + of_questions) / 2
        scores[near.answers[mine] @ near.answers.T > _OTHER_WORDS] = -1
        scores[rows, mine] = -1
        best[part] = scores.argmax(axis=1)
        other[part] = scores[rows, best[part]]
    return own - _ANSWER_BONUS, other - _ANSWER_BONUS, best
