"""The rows of a fit as the trainer reads them: columns of texts, a label, a prompt a column."""

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
    """Return columns anchor, positive, negative_1 …, whose order is their meaning.

    A label goes with them where the loss asks for one: the score, or the row's number.
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
    """Return the query and the answer prompt that a model holds; empty where there is none."""
    return model.prompts.get("query") or "", model.prompts.get("document") or ""


def column_prompts(
    model: SentenceTransformer, data: Dataset | DatasetDict, config: TrainConfig
) -> dict[str, str]:
    """Return the prompt of each column of texts; those of scored pairs are both queries."""
    query, answer = stored_prompts(model)
    part = next(iter(data.values())) if isinstance(data, DatasetDict) else data
    first, *others = (name for name in part.column_names if name != LABEL)
    return {first: query, **dict.fromkeys(others, query if config.objective in SCORED else answer)}
