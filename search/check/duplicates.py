"""Findings about answers that say the same."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dotbogi.indexes.text import same_text_key
from dotbogi.search.check.finding import Finding, Kind
from dotbogi.search.check.neighbours import FEWEST_ANSWERS, Neighbours

# Limits of cosines between centred vectors, chosen by reading some 150 pairs of welfare_qa.csv and
# chatbot.csv. Of those above SAME, nine of ten say the same. Between CLOSE and SAME many are two
# facts in like words, but few of those that their own questions do not tell apart.
_SAME = 0.8
_CLOSE = 0.72
_APART = 0.1  # how much nearer a question is to its answer than to the other one
_SHORT = 20  # letters; below, a single word makes another answer of the same cosine
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def near_duplicates(near: Neighbours) -> Iterator[Finding]:
    """Yield groups of answers of which one would do."""
    answers = near.pairs.answers
    keys = np.unique([same_text_key(answer.text) for answer in answers], return_inverse=True)[1]
    asked: dict[int, list[int]] = defaultdict(list)  # the questions of each answer
    for place, question in enumerate(near.pairs.questions):
        asked[question.answer].append(place)
    groups: dict[int, list[int]] = {}  # by the first answer of each
    for place in range(len(answers)):
        cosines = near.answers[:place] @ near.answers[place]
        if len(answers) < FEWEST_ANSWERS:
            cosines[:] = 0
        cosines[keys[:place] == keys[place]] = 1
        close = np.flatnonzero(cosines >= _CLOSE)
        for head in close[np.argsort(-cosines[close])].tolist():
            if head in groups and _are_same(near, asked, (head, place), float(cosines[head])):
                groups[head].append(place)
                break
        else:
            groups[place] = []
    for head, others in groups.items():
        if others:
            yield _near_duplicate(near, [head, *others])


def _are_same(
    near: Neighbours, asked: Mapping[int, list[int]], places: tuple[int, int], cosine: float
) -> bool:
    texts = [near.pairs.answers[place].text for place in places]
    if cosine == 1:
        return True
    if _numbers_differ(*texts):
        return False
    if cosine >= _SAME:
        return True
    if min(map(len, texts)) < _SHORT or not all(place in asked for place in places):
        return False
    for own, other in (places, places[::-1]):
        questions = near.questions[asked[own]]
        if float((questions @ (near.answers[own] - near.answers[other])).mean()) > _APART:
            return False
    return True


def _numbers_differ(one: str, other: str) -> bool:
    """Return whether each text has a number that the other lacks.

    Then they are mostly two facts in the same words: the prices of two products.
    """
    left, right = Counter(_NUMBER.findall(one)), Counter(_NUMBER.findall(other))
    return bool(left - right) and bool(right - left)


def _near_duplicate(near: Neighbours, places: Sequence[int]) -> Finding:
    answers = [near.pairs.answers[place] for place in places]
    advice = "If one answer would do, keep it and give it the questions of the others."
    rows = [answer.rows[0] for answer in answers]
    return Finding.of(
        Kind.NEAR_DUPLICATE_ANSWERS, rows, [answer.text for answer in answers[:3]], advice
    )
