"""Data sets of the Hugging Face hub, as tables."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DotbogiError, UsageError

_REFERENCE = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.-]+))?(?:/(?P<split>[\w.-]+))?", re.ASCII
)
_ROWS = 1000  # rows converted at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class HubName:
    """The parts of a name hf:OWNER/NAME[:CONFIG][/SPLIT]."""

    repo: str
    config: str | None = None
    split: str | None = None

    @property
    def name(self) -> str:
        """The name without the split."""
        return f"hf:{self.repo}" + (f":{self.config}" if self.config else "")

    @property
    def folder_name(self) -> str:
        """Name of the cache folder that holds its tables."""
        return "--".join(filter(None, ("hf", *self.repo.split("/"), self.config)))


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSet:
    """A data set at its current revision on the hub."""

    splits: Any  # datasets.DatasetDict
    revision: str
    licence: str


def parse_hub_name(text: str) -> HubName:
    """Return the parts of a name that starts with hf:.

    Raises:
        UsageError: the name has another form.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text}: not the name of a data set on the hub. Expected hf:OWNER/NAME, "
            "hf:OWNER/NAME:CONFIG or hf:OWNER/NAME/SPLIT."
        )
    return HubName(repo=match["repo"], config=match["config"], split=match["split"])


def load_from_hub(name: HubName, *, progress: bool = False) -> HubSet:
    """Load all splits of a data set from the hub, at its current revision.

    Code in a data set is never run.

    Raises:
        UsageError: a local folder has the same name.
        DotbogiError: the hub cannot be reached, or the data set cannot be loaded from it.
    """
    if Path(name.repo).is_dir():  # the library would load it instead
        raise UsageError(
            f"{name.name}: the folder {name.repo} exists here and would be read instead of the "
            "hub's data set. Run this from another folder."
        )
    try:
        import datasets
        from huggingface_hub import HfApi

        about = HfApi().dataset_info(name.repo, timeout=15)
        if not progress:
            datasets.disable_progress_bars()
        splits = datasets.load_dataset(name.repo, name.config, revision=about.sha)
    except Exception as error:  # several libraries may fail here, each in its own way
        reason = " ".join(str(error).split())[:300] or "no reason given"
        raise DotbogiError(
            f"{name.name}: cannot be loaded from the hub ({type(error).__name__}: {reason}). "
            "Expected a data set listed on huggingface.co/datasets, and a network connection."
        ) from error
    licence = about.card_data.license if about.card_data else None
    if isinstance(licence, list):
        licence = ", ".join(licence)
    return HubSet(
        splits=splits, revision=str(about.sha), licence=licence or "not stated, see the page"
    )


def write_table(dataset: Any, path: Path) -> None:
    """Write a `datasets.Dataset` as Parquet with columns of strings.

    Numbers, lists and structures become JSON, and class labels become their names. Columns of
    images, sound and other binary data are left out.

    Raises:
        DotbogiError: no column holds text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = {
        column: _text_of(feature)
        for column, feature in dataset.features.items()
        if _is_textual(feature)
    }
    if not texts:
        raise DotbogiError(f"no column holds text; the columns are {', '.join(dataset.features)}.")
    schema = pa.schema([(column, pa.string()) for column in texts])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(dataset, list(texts)):
            columns = [[texts[name](value) for value in batch[name]] for name in texts]
            writer.write_table(pa.table(columns, schema=schema))


def _batches(dataset: Any, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    yield from dataset.select_columns(list(columns)).with_format(None).iter(batch_size=_ROWS)


def _is_textual(feature: Any) -> bool:
    from datasets import ClassLabel, LargeList, List, Sequence, Value

    if isinstance(feature, dict):
        return all(map(_is_textual, feature.values()))
    if isinstance(feature, list):
        return all(map(_is_textual, feature))
    if isinstance(feature, List | LargeList | Sequence):
        return _is_textual(feature.feature)
    if isinstance(feature, Value):
        return "binary" not in feature.dtype
    return isinstance(feature, ClassLabel)


def _text_of(feature: Any) -> Callable[[Any], str]:
    from datasets import ClassLabel

    def text(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(feature, ClassLabel):
            return str(feature.int2str(value)) if value >= 0 else ""  # -1: a hidden test label
        return (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        )

    return text
