"""The columns of an exported table, shared by those who write it and those who read it."""

import re
from collections.abc import Sequence

QUESTION, ANSWER, ANSWER_ID = "question", "answer", "answer_id"
# Who taught a question that is not the table's own, and how many users chose the answer for it or
# called it wrong.
ORIGIN, PREFERRED, OPPOSED = "question_origin", "question_preferred", "question_opposed"

BEGINNING = (QUESTION, ANSWER, ANSWER_ID, ORIGIN)  # the first columns of every export
CSV_BEGINS = ",".join(BEGINNING)

# Metadata of one of our names, or without a name, is written with a prefix; metadata that has the
# prefix already gets another one, so that every name can be restored.
_PREFIX = "metadata."
_OURS = "|".join((QUESTION, ANSWER, ANSWER_ID, ORIGIN, PREFERRED, OPPOSED, ""))
_COLLIDES = re.compile(rf"(?:metadata\.)*(?:{_OURS})")
_PREFIXED = re.compile(rf"(?:metadata\.)+(?:{_OURS})")


def column_of(metadata_name: str) -> str:
    """Return the column that metadata of this name is written to.

    >>> column_of("category"), column_of("answer"), column_of("metadata.answer")
    ('category', 'metadata.answer', 'metadata.metadata.answer')
    """
    return _PREFIX + metadata_name if _COLLIDES.fullmatch(metadata_name) else metadata_name


def metadata_name(column: str) -> str:
    """Return the name that `column_of` was given.

    >>> metadata_name("category"), metadata_name("metadata.answer")
    ('category', 'answer')
    """
    return column.removeprefix(_PREFIX) if _PREFIXED.fullmatch(column) else column


def is_export(columns: Sequence[str]) -> bool:
    """Return whether a table with these columns was exported: then its cells are taken as they are.

    >>> is_export(["question", "answer", "answer_id", "question_origin", "category"])
    True
    >>> is_export(["question", "answer", "answer_id", "category"])
    False
    """
    return tuple(columns[: len(BEGINNING)]) == BEGINNING
