"""The metadata filter of a search."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.collection import Answer
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.text import clean

Where = Mapping[str, str | Sequence[str]]  # field → its value, or several, any of which matches
Allowed = NDArray[np.bool_]  # one flag per answer, by position


class MetadataIndex:
    """Finds answers by metadata; a field is indexed when it is first used.

    Safe to use from many threads.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers
        self._names = frozenset(name for answer in answers for name in answer.metadata)
        self._numbered: dict[str, tuple[dict[str, int], NDArray[np.int32]]] = {}

    def allowed(self, where: Where) -> Allowed:
        """Return, for each answer, whether its metadata matches every field of `where`.

        A field or value that no answer has matches nothing.

        Raises:
            UsageError: `where` is not a mapping of field names to strings or lists of strings.
        """
        allowed = np.ones(len(self._answers), bool)
        for field, values in _checked(where).items():
            numbers, answer_values = self._field(field)
            wanted = [numbers[value] for value in values if value in numbers]
            allowed &= np.isin(answer_values, wanted)
        return allowed

    def _field(self, name: str) -> tuple[dict[str, int], NDArray[np.int32]]:
        """Return the number of each of a field's values, and each answer's number (-1: none)."""
        if name not in self._names:  # not cached: callers may send any number of names
            return {}, np.zeros(len(self._answers), np.int32)
        if name not in self._numbered:
            numbers: dict[str, int] = {}
            answer_values = np.full(len(self._answers), -1, np.int32)
            for position, answer in enumerate(self._answers):
                if name in answer.metadata:
                    value = answer.metadata[name]
                    answer_values[position] = numbers.setdefault(value, len(numbers))
            self._numbered[name] = numbers, answer_values
        return self._numbered[name]


def _checked(where: Any) -> dict[str, list[str]]:
    """Return the values of each field, cleaned like the metadata of the collection."""
    if not isinstance(where, Mapping):
        raise UsageError(
            f"where is a {type(where).__name__}; expected a mapping such as "
            '{"category": "배송"} or {"category": ["배송", "환불"]}.'
        )
    checked: dict[str, list[str]] = {}
    for field, value in where.items():
        values = [value] if isinstance(value, str) else value
        if not (
            isinstance(field, str)
            and isinstance(values, Sequence | Set)
            and all(isinstance(text, str) for text in values)
        ):
            raise UsageError(
                "where has a field that is not a string, or a value that is neither a string nor a "
                'list of strings; expected {"category": "배송"} or {"category": ["배송", "환불"]}.'
            )
        checked[clean(field)] = [clean(text) for text in values]
    return checked
