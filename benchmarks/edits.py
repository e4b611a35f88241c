"""Random edits of the answers of chatbot.csv, to be read by a person, and the editor's speed.

    python benchmarks/edits.py --data DATA [--count 50] [--seed 0]

DATA holds chatbot.csv of songys/Chatbot_data. Rows count from 1, the header left out.
"""

import argparse
import time
from collections import Counter
from pathlib import Path
from random import Random

import pandas as pd

from training.edits import Editor


def main() -> None:
    """Print random edits: row, kind, text → edit; then counts and texts per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    table = pd.read_csv(asked.data / "chatbot.csv")
    answers = table["A"].drop_duplicates()  # its index is that of the first row with the answer

    started = time.perf_counter()
    editor = Editor([*answers, *table["Q"].drop_duplicates()])
    opened = time.perf_counter()
    edits = editor.edits_many(list(answers))
    done = time.perf_counter()

    drawn = [
        (row + 1, text, edit)
        for row, text, found in zip(answers.index, answers, edits, strict=True)
        for edit in found
    ]
    for row, text, edit in sorted(
        Random(asked.seed).sample(drawn, min(asked.count, len(drawn))), key=lambda d: d[0]
    ):
        print(f"{row}\t{edit.kind}\t{text} → {edit.text}")
    print(
        f"{len(drawn)} edits of {len(answers)} answers:", dict(Counter(e.kind for *_, e in drawn))
    )
    print(f"answers with an edit: {sum(map(bool, edits))}")
    print(
        f"collection read in {opened - started:.1f} s; "
        f"{len(answers) / (done - opened):.0f} texts a second edited"
    )


if __name__ == "__main__":
    main()
