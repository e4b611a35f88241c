"""The pairs of a collection and their mined negatives as the rows of a fit."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.collection import Collection
from dotbogi.training.fit.config import TrainingRow
from dotbogi.training.negatives import Negative, train_side


def training_rows(collection: Collection, negatives: Sequence[Negative]) -> list[TrainingRow]:
    """Return the train pairs as texts, all with the same number of mined negatives.

    A pair without negatives is left out if others have some: every answer is right for it.
    """
    texts = {answer.id: answer.text for answer in collection.answers}
    mined: dict[tuple[str, str], list[str]] = defaultdict(list)
    for negative in negatives:
        mined[negative.question, negative.positive_id].append(negative.text)
    rows = [
        TrainingRow(q.text, texts[q.answer_id], tuple(mined[q.text, q.answer_id]))
        for q in train_side(collection).questions
    ]
    most = max((len(row.negatives) for row in rows), default=0)
    return [row for row in rows if len(row.negatives) == most]


def hard_negatives(train: Collection, negatives: Sequence[Negative]) -> NDArray[np.int64]:
    """Return, for each question, the rows of the answers that are wrong for it.

    The result is questions × n, where −1 is padding.
    """
    row_of = {answer.id: row for row, answer in enumerate(train.answers)}
    mined: dict[tuple[str, str], list[int]] = defaultdict(list)
    for negative in negatives:
        mined[negative.question, negative.positive_id].append(row_of[negative.answer_id])
    of_questions = [mined[q.text, q.answer_id] for q in train.questions]
    most = max(map(len, of_questions), default=0)
    table = [rows + [-1] * (most - len(rows)) for rows in of_questions]
    return np.asarray(table, np.int64).reshape(len(of_questions), most)
