"""What other services export: Azure custom question answering, and Rasa.

Dialogflow's knowledge bases are CSV without a header: see `header.without_header`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.tables.cells import clean_cell
from dotbogi.indexes.tables.table import Reading, Records, Row, Skip, Table

_AZURE = {"Question", "Answer", "Metadata"}
_AZURE_OWN = ("Source", "SuggestedQuestions", "IsContextOnly", "Prompts", "SourceDisplayName")
_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\([^()]*\)|\{[^{}]*\})")
_KEYS = re.compile(rb"""^(?:\xef\xbb\xbf)?["']?(?:nlu|responses)["']?\s*:""", re.MULTILINE)
_MAX_YAML = 64 << 20  # bytes


def is_azure(records: Records) -> bool:
    """Return whether records are an export of Azure custom question answering or QnA Maker."""
    return set(records.names) >= _AZURE and bool(
        {"QnaId", "SuggestedQuestions", "IsContextOnly"} & set(records.names)
    )


def from_azure(records: Records) -> Records:
    r"""Return an export of Azure as a table: "key:value|key:value" as columns, "\n" as line ends.

    QnaId is the answer's id. Columns that only Azure's editor uses are left out.
    """
    rows: list[dict[str, str]] = []
    names = dict.fromkeys(["Question", "Answer", "answer_id"])
    for record in records.rows:
        row = {name: cell for name, cell in record.items() if name not in (*_AZURE_OWN, "Metadata")}
        row["answer_id"] = row.pop("QnaId", "")
        row["Answer"] = row.get("Answer", "").replace("\\n", "\n")
        for pair in filter(None, record.get("Metadata", "").split("|")):
            name, _, value = pair.partition(":")
            row.setdefault(name.strip(), value.strip())
        names |= dict.fromkeys(row)
        rows.append(row)
    note = "an export of Azure question answering: Metadata becomes columns, QnaId the id"
    return Records(list(names), rows, records.numbers, records.skips, (*records.notes, note))


def read_rasa(path: Path) -> Table:
    """Read intents and responses from one of Rasa's YAML files, or from a folder of them.

    The examples of an intent, or of one that a retrieval intent holds ("faq/refund"), are the
    questions; the texts of its response ("utter_faq/refund") are the answers.

    Raises:
        DamagedError: a file is not YAML as Rasa writes it.
        DotbogiError: no intent has a response.
    """
    examples: dict[str, list[str]] = {}
    responses: dict[str, list[str]] = {}
    for file in _files(path) if path.is_dir() else [path]:
        content = _load(file)
        for name, texts in _examples(file, content.get("nlu") or []):
            examples.setdefault(name, []).extend(texts)
        for name, texts in _responses(file, content.get("responses") or {}):
            responses.setdefault(name, []).extend(texts)
    rows: list[Row] = []
    skips: list[Skip] = []
    place = 0  # of the intent with one of its answers
    for name, questions in examples.items():
        answers = responses.pop(f"utter_{name}", [])
        if not answers:
            place += 1
            skips.append(Skip(place, f"intent {name!r} has no response"))
        for number, answer in enumerate(answers):
            place += 1
            key = name if number == 0 else f"{name}#{number + 1}"
            rows += [_row(q, answer, key, {"intent": name}, place) for q in questions or [""]]
    for name, answers in responses.items():
        for answer in answers:
            place += 1
            rows.append(_row("", answer, "", {"intent": name.removeprefix("utter_")}, place))
    if not rows:
        raise DotbogiError(
            f"{path}: {len(examples)} intents, and none has a response. Put the file with "
            "'responses' beside it and name the folder."
        )
    notes = ("a Rasa project: examples of intents are questions, responses are answers",)
    used = Reading(question="examples", answer="responses", answer_id="intent")
    return Table(path=path, rows=rows, columns=used, notes=notes, skips=tuple(skips))


def _row(question: str, answer: str, key: str, metadata: dict[str, str], place: int) -> Row:
    return Row(clean_cell(question, markup=True), clean_cell(answer), key, metadata, place)


def _files(folder: Path) -> list[Path]:
    """Return the files of a Rasa project that hold intents or responses."""
    found: list[Path] = []
    # domain.yml, data/nlu.yml, data/nlu/faq.yml
    for pattern in ("*.y*ml", "*/*.y*ml", "*/*/*.y*ml"):
        for path in sorted(folder.glob(pattern)):
            if path.suffix.lower() in {".yml", ".yaml"} and path.is_file():
                text = path.read_bytes()[:_MAX_YAML]
                if _KEYS.search(text):
                    found.append(path)
    return found


def _load(path: Path) -> Mapping[str, Any]:
    import yaml

    if path.stat().st_size > _MAX_YAML:
        raise UsageError(f"{path}: more than {_MAX_YAML >> 20} MiB of YAML. Split the file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        # By aliases a small file can grow without bound; Rasa writes none.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.CSafeLoader)):
            raise yaml.YAMLError("it uses an alias (*name)")
        content = yaml.load(text, yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DamagedError(f"{path}: not readable as YAML ({reason}). Mend it there.") from error
    if not isinstance(content, dict) or not {"nlu", "responses"} & set(content):
        raise DamagedError(
            f"{path}: expected Rasa's keys 'nlu' or 'responses' at its top. Name another file, or "
            "the folder."
        )
    return content


def _examples(path: Path, intents: Any) -> Iterator[tuple[str, Sequence[str]]]:
    for intent in intents if isinstance(intents, list) else []:
        if not isinstance(intent, dict) or "intent" not in intent:
            continue  # synonyms, lookup tables and regular expressions
        listed = intent.get("examples") or ""
        if isinstance(listed, list):  # the long form: - text: |
            lines = [str(e.get("text", "") if isinstance(e, dict) else e) for e in listed]
        else:
            lines = str(listed).split("\n")
        texts = [_ENTITY.sub(r"\1", line.strip().removeprefix("-").strip()) for line in lines]
        yield str(intent["intent"]), [text for text in texts if text]


def _responses(path: Path, responses: Any) -> Iterator[tuple[str, Sequence[str]]]:
    if not isinstance(responses, dict):
        raise DamagedError(
            f"{path}: 'responses' is not a mapping. Write names and their lists of texts."
        )
    for name, variants in responses.items():
        listed = variants if isinstance(variants, list) else []
        texts = [str(v["text"]) for v in listed if isinstance(v, dict) and v.get("text")]
        yield str(name), texts


def is_rasa(path: Path) -> bool:
    """Return whether a path is a Rasa file, or a folder of them and no BEIR folder."""
    if path.is_dir():
        files = any(path.glob("*.yml")) or any(path.glob("*.yaml"))
        return files and not (path / "corpus.jsonl").exists()
    return path.suffix.lower() in {".yml", ".yaml"}
