"""Which answers have what metadata: the filter of a search."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.collection import Answer
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.text import clean

Where = Mapping[str, str | Sequence[str]]  # field → its value, or any of several
Allowed = NDArray[np.bool_]  # by the position of an answer


class MetadataIndex:
    """Answers by their metadata; a field is gone through when it is first asked for.

    Safe to use from many threads.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers
        self._names = frozenset(name for answer in answers for name in answer.metadata)
        self._numbered: dict[str, tuple[dict[str, int], NDArray[np.int32]]] = {}

    def allowed(self, where: Where) -> Allowed:
        """Return for each answer whether every field of `where` has a value that is asked for.

        A field or value that no answer has matches nothing.

        Raises:
            UsageError: `where` is not a mapping of field names to texts or lists of texts.
        """
        allowed = np.ones(len(self._answers), bool)
        for field, values in _checked(where).items():
            numbers, of_answers = self._field(field)
            wanted = [numbers[value] for value in values if value in numbers]
            allowed &= np.isin(of_answers, wanted)
        return allowed

    def _field(self, name: str) -> tuple[dict[str, int], NDArray[np.int32]]:
        """Return the numbers of a field's values, and the number of each answer's value."""
        if name not in self._names:  # not kept: anybody can ask for a new name each time
            return {}, np.zeros(len(self._answers), np.int32)
        if name not in self._numbered:
            numbers: dict[str, int] = {}
            of_answers = np.full(len(self._answers), -1, np.int32)
            for position, answer in enumerate(self._answers):
                if name in answer.metadata:
                    value = answer.metadata[name]
                    of_answers[position] = numbers.setdefault(value, len(numbers))
            self._numbered[name] = numbers, of_answers
        return self._numbered[name]


def _checked(where: Any) -> dict[str, list[str]]:
    """Return the values of each field, cleaned as the collection's metadata were."""
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
            and all(isinstance(one, str) for one in values)
        ):
            raise UsageError(
                "where has a field that is not a text, or a value that is neither a text nor a "
                'list of texts; expected {"category": "배송"} or {"category": ["배송", "환불"]}.'
            )
        checked[clean(field)] = [clean(one) for one in values]
    return checked
