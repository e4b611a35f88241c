"""Why an answer was found."""

from collections.abc import Mapping
from dataclasses import dataclass

from indexes.hits import Hit
from indexes.metadata import Where
from search.fusion import PARTS, parts_of
from search.ranking import CANDIDATES, find_rankings
from search.searcher import Searcher


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an answer's score is made of; `parts` add up to it, those of 0 left out."""

    parts: Mapping[str, float]
    words: list[str]  # of the query that the answer or the known question has, as lemmas


def explain(searcher: Searcher, query: str, hit: Hit, *, where: Where | None = None) -> Explanation:
    """Explain a hit of this query; `searcher` is the one that found it, pinned if it may move.

    Args:
        searcher: has the generation that the hit is from.
        query: as typed.
        hit: one of its hits.
        where: the filter that it was found with.
    """
    index = searcher.index
    signals = find_rankings(index, [query], CANDIDATES, where)[0]
    answer_ids, scores = parts_of(signals, index.weights.floor)
    shares = (
        scores[answer_ids.index(hit.answer_id)] * index.weights.vector()
        if hit.answer_id in answer_ids  # only beyond the signals' candidates, for a large k
        else []
    )
    parts = {name: round(float(s), 4) for name, s in zip(PARTS, shares, strict=False) if s > 0}
    asked, *found = index.analyzer.tokenize([query, hit.text, hit.question or ""])
    matched = dict.fromkeys(token for token in asked if any(token in tokens for tokens in found))
    lemmas = [word for token in matched if (word := _word(token))]
    return Explanation(parts, lemmas or list(matched))


def _word(token: str) -> str:
    """Return a lemma as a dictionary has it; nothing for the other tokens.

    >>> [_word("배고프/V"), _word("배송/N"), _word("배송")]
    ['배고프다', '배송', '']
    """
    form, slash, tag = token.partition("/")
    return form + ("다" if tag == "V" else "") if slash else ""
