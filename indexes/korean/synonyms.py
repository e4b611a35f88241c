"""Groups of words that mean the same in a question: 비밀번호, 비번, password."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BUNDLED = Path(__file__).parent / "synonyms.csv"

# What may follow a word of one syllable without making another word of it.
_ENDING = re.compile(
    r"(?:이|가|은|는|을|를|에|에서|으로|로|와|과|랑|이랑|도|만|의|요|이요|좀|부터|까지|이나|나|야|예요|"
    r"이에요|인가요|인데|라|들|(?:하|되|돼|해|했|됐|할|함|안|못).*)?"
)
_RUN = re.compile(r"[a-z]+|[가-힣]+")
_LATIN_PAIR = re.compile(r"(?<![a-z])([a-z]+)[ -](?=([a-z]+))\2")


@dataclass(frozen=True, slots=True)
class Replaceable:
    """A word of a text: where it stands, and the other words of its groups."""

    start: int
    end: int
    word: str
    others: tuple[str, ...]


class Synonyms:
    """Finds the words of a text that have synonyms."""

    def __init__(self, groups: Iterable[Sequence[str]]) -> None:
        others: dict[str, dict[str, None]] = {}
        for group in groups:
            words = [word.strip().lower() for word in group]
            for word in words:
                others.setdefault(word, {}).update(dict.fromkeys(words))
        self._others = {
            word: tuple(other for other in of_word if other != word)
            for word, of_word in others.items()
        }
        self._longest = max(map(len, self._others), default=0)

    def __contains__(self, word: str) -> bool:
        return word.lower() in self._others

    @property
    def words(self) -> Collection[str]:
        """All words, in lower case."""
        return self._others.keys()

    def others(self, word: str) -> tuple[str, ...]:
        """Return the other words of a word's groups."""
        return self._others.get(word.lower(), ())

    def find(self, text: str) -> list[Replaceable]:
        """Return the words that have synonyms, in order; the longest word wins.

        A Latin word stands alone, or two of them are one: check-in, gift card. A Korean word
        begins a run of letters; anything may follow it, but only a particle or an ending if it has
        one syllable.
        """
        found: list[Replaceable] = []
        lower = text.lower()
        for pair in _LATIN_PAIR.finditer(lower):
            word = pair[1] + pair[2]
            if word in self._others:
                found.append(Replaceable(pair.start(), pair.end(), word, self._others[word]))
        taken = {at for pair in found for at in range(pair.start, pair.end)}
        for run in _RUN.finditer(lower):
            letters = run.group()
            if run.start() in taken:
                continue
            for length in range(min(len(letters), self._longest), 0, -1):
                word = letters[:length]
                if word in self._others and _may_follow(word, letters[length:]):
                    at = run.start()
                    found.append(Replaceable(at, at + length, word, self._others[word]))
                    break
        return sorted(found, key=lambda word: word.start)


def _may_follow(word: str, rest: str) -> bool:
    if word.isascii():
        return not rest
    return len(word) > 1 or _ENDING.fullmatch(rest) is not None


def read_groups(lines: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups in lines of words between commas; "#" begins a comment."""
    rows = ([word.strip() for word in line.split("#")[0].split(",")] for line in lines)
    groups = (tuple(word for word in row if word) for row in rows)
    return [group for group in groups if len(group) > 1]


@cache
def bundled_groups() -> tuple[tuple[str, ...], ...]:
    """Return the groups that come with the package."""
    return tuple(read_groups(BUNDLED.read_text(encoding="utf-8").splitlines()))
