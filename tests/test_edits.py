import csv
from collections import Counter
from pathlib import Path

import pytest

from training.edits import Edit, Editor, last_predicate
from training.morphemes import Change, Morph, analyse, join, reads_back, splice
from training.polarity import change_polarity
from training.swaps import arguments, main_verb, put_word
from training.tense import TENSES, change_tense

GOLDEN = Path(__file__).parent / "data" / "edits.tsv"


def asked_change(morphs: list[Morph], kind: str, asked: str) -> Change | None:
    """Return the change that a row of the golden set asks for."""
    predicate = last_predicate(morphs)
    old, _, new = asked.partition("→")
    if kind == "topic":
        nouns = {"".join(form for form, _ in n.word): n for n in arguments(morphs)}
        word = tuple((m.form, m.tag) for m in analyse([new])[0])
        return put_word(morphs, nouns[old].start, nouns[old].end, word) if old in nouns else None
    if predicate is None:
        return None
    if kind == "tense":
        (tense,) = (t for t in TENSES if t == asked)
        return change_tense(morphs, predicate, tense)
    if kind == "polarity":
        return change_polarity(morphs, predicate)
    place = main_verb(morphs, predicate)
    if place is None or join([*morphs[slice(*place)], Morph("다", "EF")]) != old:
        return None
    word = tuple((m.form, m.tag) for m in analyse([new])[0][:-1])
    return put_word(morphs, *place, word)


def edited(text: str, kind: str, asked: str) -> str:
    """Return the edit of a row, or why there is none."""
    (morphs,) = analyse([text])
    change = asked_change(morphs, kind, asked)
    written = change and splice(text, morphs, change)
    if not written:
        return "no change" if change is None else "cannot be written"
    return written[0] if reads_back(written[1], analyse([written[0]])[0]) else f"{written[0]} (?)"


def test_nine_of_ten_golden_edits_are_what_a_korean_would_write() -> None:
    with GOLDEN.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    failures = []
    for row in rows:
        found = edited(row["text"], row["kind"], row["change"])
        if found not in row["expected"].split("|"):
            failures.append(
                f"{row['kind']} {row['change']}: {row['text']} → {found}, not {row['expected']}"
            )
    print(*failures, sep="\n")
    print(f"{len(rows) - len(failures)} of {len(rows)}")
    assert len(rows) >= 150
    assert len(rows) - len(failures) >= 0.9 * len(rows), "\n".join(failures)
