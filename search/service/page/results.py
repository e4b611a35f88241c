"""What the page shows for a query."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dotbogi.indexes.hits import Hit
from dotbogi.indexes.text import clean, is_valid_unicode
from dotbogi.search.explain import Explanation, explanations
from dotbogi.search.index import SearchIndex
from dotbogi.search.ranking import find, hits_of, preferred_by_users

SHOWN, MORE = 5, 20  # answers
_EXAMPLES, _LONGEST_EXAMPLE = 4, 40


@dataclass(frozen=True, slots=True)
class Why:
    """Why an answer was found: the shares of words and of meaning, and the words in common."""

    shares: Mapping[str, float]
    words: list[str]


@dataclass(frozen=True, slots=True)
class Results:
    """The answers to one query, and what the page says about them."""

    query: str
    said: str
    hits: list[Hit]
    reasons: list[Why]  # one per hit
    users: Mapping[str, int]  # answer id → how many users chose it for this question
    is_unsure: bool
    examples: list[str]  # questions to ask; only without a query


def find_results(
    index: SearchIndex, typed: str, count: int, longest: int, words: Mapping[str, str]
) -> Results:
    """Search for a query and return what the page shows.

    Args:
        index: the index to search.
        typed: the query as typed; any text.
        count: answers at most.
        longest: characters of a query at most.
        words: the page's texts in the reader's language.
    """
    query, problem = _checked(typed, longest, words)
    if not query or problem:
        return Results(query, problem, [], [], {}, False, [] if query else _examples(index))
    found = find(index, [query])[0]  # more than are shown
    hits = hits_of(index, found, count)
    first = hits[0].confidence if hits else None
    is_unsure = first is not None and first < index.fitted.calibration.threshold
    preferred = preferred_by_users(index, found.text)
    instead = hits[0].corrected if hits else None
    said = words["found"].format(count=len(hits)) if hits else words["nothing"]
    if instead:
        said = f"{words['instead'].format(text=instead)} {said}"
    return Results(
        query=query,
        said=f"{words['unsure']} {said}" if is_unsure else said,
        hits=hits,
        reasons=list(map(_why, explanations(index, found.text, found.candidates, hits))),
        users={answer: chosen.users for answer, chosen in preferred.items()},
        is_unsure=is_unsure,
        examples=[],
    )


def _checked(typed: str, longest: int, words: Mapping[str, str]) -> tuple[str, str]:
    """Return the cleaned query, and what is wrong with it, if anything."""
    if not is_valid_unicode(typed):
        return "", words["unreadable"]
    if len(typed) > longest:
        return clean(typed[:longest]), words["too_long"].format(most=longest)
    return clean(typed), ""


def _why(reason: Explanation) -> Why:
    by_words = sum(v for name, v in reason.parts.items() if name.startswith("bm25"))
    whole = sum(reason.parts.values())
    share = by_words / whole if whole else 0.0
    return Why({"by_words": share, "by_meaning": 1 - share} if whole else {}, reason.words)


def _examples(index: SearchIndex) -> list[str]:
    """Return a few known questions, spread over the collection."""
    known = index.collection.questions
    # Only the owner's questions: those of users are private.
    texts = [q.text for q in known if q.origin is None and len(q.text) <= _LONGEST_EXAMPLE]
    step = math.ceil(len(texts) / _EXAMPLES) or 1
    return texts[step // 2 :: step]
