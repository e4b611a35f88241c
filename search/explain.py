"""Why an answer was found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dotbogi.indexes.hits import Hit
from dotbogi.indexes.metadata import Where
from dotbogi.search.candidates import PARTS, Candidates
from dotbogi.search.index import SearchIndex
from dotbogi.search.ranking import find_candidates
from dotbogi.search.searcher import Searcher


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
    return explain_hits(searcher, query, [hit], where=where)[0]


def explain_hits(
    searcher: Searcher, query: str, hits: Sequence[Hit], *, where: Where | None = None
) -> list[Explanation]:
    """Explain the hits of one query, which is searched once more for all of them; see `explain`."""
    if not hits:
        return []
    found = find_candidates(searcher.index, [query], where=where)[0]
    return explanations(searcher.index, query, found, hits)


def explanations(
    index: SearchIndex, query: str, candidates: Candidates, hits: Sequence[Hit]
) -> list[Explanation]:
    """Explain the hits of one query by the candidates that they are from."""
    scores = candidates.parts() * index.fitted.weights.vector()
    shares = dict(zip(candidates.answer_ids, scores, strict=True))
    texts = [text for hit in hits for text in (hit.text, hit.question or "")]
    asked, *found = index.analyzer.tokenize([query, *texts])
    return [
        # No parts: only beyond the signals' candidates, for a large k.
        Explanation(_parts(shares.get(hit.answer_id, ())), _words(asked, found[2 * i : 2 * i + 2]))
        for i, hit in enumerate(hits)
    ]


def _parts(shares: Iterable[float]) -> dict[str, float]:
    return {name: round(float(s), 4) for name, s in zip(PARTS, shares, strict=False) if s > 0}


def _words(asked: Sequence[str], found: Sequence[Sequence[str]]) -> list[str]:
    matched = dict.fromkeys(token for token in asked if any(token in tokens for tokens in found))
    lemmas = [word for token in matched if (word := _word(token))]
    return lemmas or list(matched)


def _word(token: str) -> str:
    """Return a lemma as a dictionary has it; nothing for the other tokens.

    >>> [_word("배고프/V"), _word("배송/N"), _word("배송")]
    ['배고프다', '배송', '']
    """
    form, slash, tag = token.partition("/")
    return form + ("다" if tag == "V" else "") if slash else ""
