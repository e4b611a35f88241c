"""Sets of the Hugging Face hub, as tables."""

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
_ROWS = 1000  # converted at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class HubName:
    """What hf:OWNER/NAME[:CONFIG][/SPLIT] names."""

    repo: str
    config: str | None = None
    split: str | None = None

    @property
    def name(self) -> str:
        """The name without the split."""
        return f"hf:{self.repo}" + (f":{self.config}" if self.config else "")

    @property
    def folder_name(self) -> str:
        """Where its tables are in the cache."""
        return "--".join(filter(None, ("hf", *self.repo.split("/"), self.config)))


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSet:
    """A set as the hub has it now."""

    splits: Any  # datasets.DatasetDict
    revision: str
    licence: str


def parse_hub_name(text: str) -> HubName:
    """Return what a name that starts with hf: names."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text}: not the name of a set on the hub. Expected hf:OWNER/NAME, "
            "hf:OWNER/NAME:CONFIG or hf:OWNER/NAME/SPLIT."
        )
    return HubName(repo=found["repo"], config=found["config"], split=found["split"])


def load_from_hub(name: HubName, *, progress: bool = False) -> HubSet:
    """Load all splits of a set from the hub, at the revision that it has now.

    Code in a set is never run.

    Raises:
        DotbogiError: the hub cannot be reached, or the set cannot be had from it.
    """
    if Path(name.repo).is_dir():  # the library would take it for the set
        raise UsageError(
            f"{name.name}: a folder {name.repo} is here, and would be read in place of the hub's "
            "set. Run this from another folder."
        )
    try:
        import datasets
        from huggingface_hub import HfApi

        about = HfApi().dataset_info(name.repo, timeout=15)
        if not progress:
            datasets.disable_progress_bars()
        splits = datasets.load_dataset(name.repo, name.config, revision=about.sha)
    except Exception as error:  # half a dozen libraries may fail here, each in its own way
        reason = " ".join(str(error).split())[:300] or "no reason given"
        raise DotbogiError(
            f"{name.name}: cannot be had from the hub ({type(error).__name__}: {reason}). "
            "Expected a set that huggingface.co/datasets shows, and a network."
        ) from error
    licence = about.card_data.license if about.card_data else None
    if isinstance(licence, list):
        licence = ", ".join(licence)
    return HubSet(
        splits=splits, revision=str(about.sha), licence=licence or "not stated, see the page"
    )


def write_table(dataset: Any, path: Path) -> None:
    """Write a `datasets.Dataset` as Parquet whose columns are all text.

    Numbers, lists and structures become JSON, class labels their names; columns of images, sound
    and the like are left out.

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
