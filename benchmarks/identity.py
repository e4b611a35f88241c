"""How alike two versions of an answer are, and two answers: the bound of `indexes.identity`.

    python benchmarks/identity.py DATA [--answers 400]

Of each set so many answers are drawn and edited in five ways, as operators do: a number changes, a
sentence is added, the last sentence goes, the first half is written anew, a word is replaced. For
each bound on the share of letter trigrams in common (Dice): how many edits are recognised, and how
many answers would be taken for another one of the whole set that was removed in the same update.
"""

import argparse
import random
import re
from collections.abc import Callable
from pathlib import Path

from public_data import collection_of

from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.identity import dice
from dotbogi.indexes.tables import SAMPLE_PATH, read_table

BOUNDS = (0.4, 0.5, 0.6, 0.7, 0.8)
ADDED = "자세한 내용은 고객센터로 문의해 주세요."
NEW_BEGINNING = "이용 안내가 새로 바뀌었으니 꼭 확인해 주시고요"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--answers", type=int, default=400)
    arguments = parser.parse_args()
    print("set, edit:", *(f"{bound:5.1f}" for bound in BOUNDS))
    for name in ("sample", "chatbot", "welfare_qa"):
        if name == "sample":
            collection = build_collection(read_table(SAMPLE_PATH))[0]
        else:
            collection = collection_of(name, arguments.data)
        texts = [answer.text for answer in collection.answers]
        drawn = random.Random(0).sample(texts, min(arguments.answers, len(texts)))
        for kind, edit in EDITS.items():
            alike = [dice(text, edit(text)) for text in drawn if edit(text) != text]
            print_row(f"{name}, {kind} ({len(alike)})", alike)
        others = [max(dice(text, other) for other in texts if other != text) for text in drawn]
        print_row(f"{name}, taken for another ({len(drawn)})", others)


def print_row(name: str, alike: list[float]) -> None:
    """Print the share of values that reach each bound."""
    shares = (sum(value >= bound for value in alike) / max(len(alike), 1) for bound in BOUNDS)
    print(f"{name}:", *(f"{share:5.2f}" for share in shares))


def without_last_sentence(text: str) -> str:
    """Return a text without its last sentence, if it has several."""
    return re.sub(r"(?<=[.!?])\s+[^.!?]+[.!?]*$", "", text)


def another_word(text: str) -> str:
    """Return a text with its longest word replaced."""
    return text.replace(max(text.split(), key=len), "이것저것", 1)


EDITS: dict[str, Callable[[str], str]] = {
    "a number changes": lambda text: re.sub(r"\d+", lambda n: str(int(n[0]) + 1), text),
    "a sentence is added": lambda text: f"{text} {ADDED}",
    "the last sentence goes": without_last_sentence,
    "a word is replaced": another_word,
    "the first half is new": lambda text: f"{NEW_BEGINNING} {text[len(text) // 2 :]}",
}


if __name__ == "__main__":
    main()
