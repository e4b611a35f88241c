"""The rows of a fit in the trainer's form: text columns, their prompts, and a label."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, DatasetDict
from sentence_transformers import SentenceTransformer

from dotbogi.training.fit.config import TrainConfig, TrainingRow
from dotbogi.training.fit.objectives import GUIDED, SCORED
from dotbogi.training.fit.sampler import LABEL


def make_dataset(
    rows: Sequence[TrainingRow] | Mapping[str, Sequence[TrainingRow]], config: TrainConfig
) -> Dataset | DatasetDict:
    """Return the columns anchor, positive, negative_1 …; the trainer goes by their order.

    Losses that need a label get one: the score, or the row number.
    """
    if isinstance(rows, Mapping):
        parts = {source: make_dataset(of_source, config) for source, of_source in rows.items()}
        return DatasetDict(parts)
    columns: dict[str, list[Any]] = {
        "anchor": [row.question for row in rows],
        "positive": [row.positive for row in rows],
    }
    for number in range(len(rows[0].negatives)):
        columns[f"negative_{number + 1}"] = [row.negatives[number] for row in rows]
    if config.objective in SCORED:
        columns[LABEL] = [row.score for row in rows]
    elif config.objective in GUIDED:
        columns[LABEL] = list(range(len(rows)))
    return Dataset.from_dict(columns)


def stored_prompts(model: SentenceTransformer) -> tuple[str, str]:
    """Return the query prompt and the answer prompt of a model; empty if it has none."""
    return model.prompts.get("query") or "", model.prompts.get("document") or ""


def column_prompts(
    model: SentenceTransformer, data: Dataset | DatasetDict, config: TrainConfig
) -> dict[str, str]:
    """Return the prompt of each text column; both texts of a scored pair are queries."""
    query, answer = stored_prompts(model)
    part = next(iter(data.values())) if isinstance(data, DatasetDict) else data
    first, *others = (name for name in part.column_names if name != LABEL)
    return {first: query, **dict.fromkeys(others, query if config.objective in SCORED else answer)}
