"""Findings about answers that are too long for the model, or for a person."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from dotbogi.search.check.finding import Finding, Kind
from dotbogi.search.check.reading import Pairs
from dotbogi.search.encoders import EncoderFacts
from dotbogi.search.encoders.tokenizer_file import open_tokenizer

_LONG = 500  # letters: about a minute of reading, and more than a phone shows
_LONGER_THAN_OTHERS = 3  # times the median: in a table of articles, length is not news


def long_answers(pairs: Pairs, folder: Path) -> Iterator[Finding]:
    """Yield answers that the model reads only in part, and those far longer than the others.

    Args:
        pairs: the table's answers.
        folder: holds the model and its encoder.
    """
    if not pairs.answers:
        return
    usual = statistics.median(len(answer.text) for answer in pairs.answers)
    limit = max(_LONG, _LONGER_THAN_OTHERS * usual)
    read = _letters_read([answer.text for answer in pairs.answers], folder)
    for answer, letters in zip(pairs.answers, read, strict=True):
        length = len(answer.text)
        if letters < length:
            advice = (
                f"{length:,} letters; the model does not read the last {length - letters:,} "
                f"({1 - letters / length:.0%}). Divide it, or put what matters first."
            )
        elif length > limit:
            advice = f"{length:,} letters are long for a person. Divide it, or shorten it."
        else:
            continue
        yield Finding.of(Kind.LONG_ANSWER, answer.rows, [answer.text], advice)


def _letters_read(texts: list[str], folder: Path) -> list[int]:
    """Return how many letters of each answer the model reads."""
    paths = [folder / "encoder" / "tokenizer.json", *sorted(folder.rglob("tokenizer.json"))]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:  # a model without a fast tokenizer
        return [len(text) for text in texts]
    facts = EncoderFacts.open(folder / "encoder")
    tokenizer = open_tokenizer(path)
    read = [len(text) for text in texts]
    ends = tokenizer.num_special_tokens_to_add(is_pair=False)
    for place, text in enumerate(texts):
        if len(text) > facts.max_tokens // 4:  # shorter ones always fit
            encoding = tokenizer.encode(facts.answer_prompt + text)
            if len(encoding.ids) > facts.max_tokens:
                last = encoding.offsets[facts.max_tokens - ends]  # the first has no text
                read[place] = max(0, last[1] - len(facts.answer_prompt))
    return read
