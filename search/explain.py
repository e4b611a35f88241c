"""Explanations of why an answer was found."""

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
    """What makes up an answer's score: `parts` add up to it; parts of 0 are left out."""

    parts: Mapping[str, float]
    words: list[str]  # lemmas of the query that the answer or the known question has


def explain(searcher: Searcher, query: str, hit: Hit, *, where: Where | None = None) -> Explanation:
    """Explain one hit of a query.

    Args:
        searcher: the one that found the hit; a pinned one if it may switch generations.
        query: as typed.
        hit: one of its hits.
        where: the filter that it was found with.
    """
    return explain_hits(searcher, query, [hit], where=where)[0]


def explain_hits(
    searcher: Searcher, query: str, hits: Sequence[Hit], *, where: Where | None = None
) -> list[Explanation]:
    """Explain the hits of one query, by searching for it once more; see `explain`."""
    if not hits:
        return []
    text = hits[0].corrected or query
    candidates = find_candidates(searcher.index, [text], where=where)[0]
    return explanations(searcher.index, text, candidates, hits)


def explanations(
    index: SearchIndex, query: str, candidates: Candidates, hits: Sequence[Hit]
) -> list[Explanation]:
    """Explain the hits of one query, given its candidates."""
    scores = candidates.parts() * index.fitted.weights.vector()
    shares = dict(zip(candidates.answer_ids, scores, strict=True))
    texts = [text for hit in hits for text in (hit.text, hit.question or "")]
    query_tokens, *text_tokens = index.analyzer.tokenize([query, *texts])
    return [
        Explanation(
            _parts(shares.get(hit.answer_id, ())),  # empty for hits beyond the candidates (large k)
            _words(query_tokens, text_tokens[2 * i : 2 * i + 2]),
        )
        for i, hit in enumerate(hits)
    ]


def _parts(shares: Iterable[float]) -> dict[str, float]:
    return {name: round(float(s), 4) for name, s in zip(PARTS, shares, strict=False) if s > 0}


def _words(query: Sequence[str], texts: Sequence[Sequence[str]]) -> list[str]:
    held = {token for text in texts for token in text}
    matched = dict.fromkeys(token for token in query if token in held)
    lemmas = [word for token in matched if (word := lemma(token))]
    return lemmas or list(matched)


def lemma(token: str) -> str:
    """Return the dictionary form of a lemma; an empty string for other tokens.

    >>> [lemma("배고프/V"), lemma("배송/N"), lemma("배송")]
    ['배고프다', '배송', '']
    """
    form, slash, tag = token.partition("/")
    return form + ("다" if tag == "V" else "") if slash else ""
