"""Search in one index: cleaned queries → the rankings of the signals → hits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.hits import Candidate, Evidence, Hit, Ranking
from dotbogi.indexes.metadata import Allowed, Where
from dotbogi.indexes.text import clean, is_valid_unicode, same_text_key
from dotbogi.indexes.views import SIGNALS, Best, best_answers
from dotbogi.search.candidates import Candidates
from dotbogi.search.fusion import fuse
from dotbogi.search.index import Preference, SearchIndex

CANDIDATES = 100  # answers per signal
_BATCH = 512  # queries searched together; bounds the memory


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one query."""

    query: str  # as typed
    text: str  # what was searched for: the query, or what it was corrected to
    candidates: Candidates
    ranked: Ranking
    confidence: float  # P(the first answer is right); 0 if there is none


def find_hits(
    index: SearchIndex,
    queries: Sequence[str],
    k: int,
    *,
    where: Where | None = None,
    min_confidence: float | None = None,
) -> list[list[Hit]]:
    """Return the `k` best answers to each query, best first; see `Searcher.search_many`."""
    found = find(index, queries, max(CANDIDATES, k), where, k)
    return [hits_of(index, of_query, k, min_confidence) for of_query in found]


def find(
    index: SearchIndex,
    queries: Sequence[str],
    n: int = CANDIDATES,
    where: Where | None = None,
    k: int | None = None,
) -> list[Found]:
    """Search for each query as it is typed and for its corrections, and return the surer result.

    Of equals, the query as typed wins. At least the `k` best answers are ranked, with None all
    candidates. See `find_candidates`.
    """
    cleaned = clean_texts(queries)
    corrector = index.corrector
    texts = [[text, *(corrector.corrections(text) if corrector else ())] for text in cleaned]
    candidates = iter(find_candidates(index, list(chain.from_iterable(texts)), n, where))
    found = []
    for query, of_query in zip(queries, texts, strict=True):
        results = [_found(index, query, text, next(candidates), k) for text in of_query]
        found.append(max(results, key=lambda result: result.confidence))
    return found


def _found(
    index: SearchIndex, query: str, text: str, candidates: Candidates, k: int | None
) -> Found:
    ranked = _ranked(index, text, candidates, k)
    return Found(query, text, candidates, ranked, confidence_of(index, text, candidates, ranked))


def find_candidates(
    index: SearchIndex, queries: Sequence[str], n: int = CANDIDATES, where: Where | None = None
) -> list[Candidates]:
    """Return the candidates of each query: the union of the `n` best answers of every signal.

    Args:
        index: what is searched.
        queries: as typed; they are cleaned like the texts of the collection.
        n: answers per signal.
        where: the metadata that an answer must have; None for any.

    Raises:
        UsageError: the queries are not a list of valid texts, or `where` is not a filter.
    """
    cleaned, allowed = clean_texts(queries), _allowed(index, where)
    return [
        Candidates.gathered(index.views, of_query)
        for part in _batches(cleaned)
        for of_query in _search_views(index, part, n, allowed)
    ]


def find_rankings(
    index: SearchIndex, queries: Sequence[str], n: int = CANDIDATES, where: Where | None = None
) -> list[dict[str, Ranking]]:
    """Return, for each query, the `n` best answers of every signal; see `find_candidates`."""
    cleaned, allowed = clean_texts(queries), _allowed(index, where)
    return [
        {name: index.views[name.split(".")[1]].ranking(best) for name, best in best_answers.items()}
        for part in _batches(cleaned)
        for best_answers in _search_views(index, part, n, allowed)
    ]


def _allowed(index: SearchIndex, where: Where | None) -> Allowed | None:
    allowed = index.metadata.allowed(where) if where is not None else None
    # A filter that excludes nothing is dropped.
    return None if allowed is None or allowed.all() else allowed


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BATCH):
        yield texts[start : start + _BATCH]


def clean_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts cleaned like those of the collection.

    Raises:
        UsageError: they are not a list of strings, or not valid Unicode.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise UsageError("expected a list of strings.")
    if not all(map(is_valid_unicode, texts)):
        raise UsageError("a text is not valid Unicode (a lone surrogate).")
    return [clean(text) for text in texts]


def confidence_of(index: SearchIndex, query: str, candidates: Candidates, ranked: Ranking) -> float:
    """Return P(the first answer is right).

    If n users chose the first answer for exactly this question and m called it wrong, it is at
    least (n + 1) / (n + m + 2), by Laplace's rule of succession: users overrule the
    signals.
    """
    confidence = index.fitted.calibration.confidence(clean(query), candidates, ranked)
    preference = preferred_by_users(index, query).get(ranked[0].answer_id) if ranked else None
    if preference is None:
        return confidence
    return max(confidence, (preference.users + 1) / (preference.users + preference.opposed + 2))


def _search_views(
    index: SearchIndex, cleaned: Sequence[str], n: int, allowed: Allowed | None
) -> list[dict[str, Best]]:
    """Return, for each query, the `n` best answers of each signal by name."""
    tokens = index.analyzer.tokenize_queries(cleaned)
    vectors = index.vectors.encode_queries(cleaned)
    if index.shards is not None:
        best = index.shards(tokens, vectors, n, allowed)
    else:
        best = best_answers(index.views, tokens, vectors, n, allowed)
    return [{name: best[name][i] for name in SIGNALS} for i in range(len(cleaned))]


def hits_of(
    index: SearchIndex, found: Found, k: int, min_confidence: float | None = None
) -> list[Hit]:
    """Return the `k` best answers of a query, or none if the first is not likely enough."""
    ranked = found.ranked
    if min_confidence is not None and found.confidence < min_confidence:
        return []
    evidence = found.candidates.evidence([candidate.answer_id for candidate in ranked[:k]])
    corrected = found.text if found.text != clean(found.query) else None
    confidences = [found.confidence] + len(evidence) * [None]  # that of the first alone
    return [
        _hit(index, candidate, of_answer, confidence, corrected)
        for candidate, of_answer, confidence in zip(ranked, evidence, confidences, strict=False)
    ]


def _ranked(index: SearchIndex, query: str, candidates: Candidates, k: int | None) -> Ranking:
    """Merge the signals; answers that users chose for this very question come first.

    Next come answers that have the query as a known question. At least the `k` best are returned.
    """
    weights = index.fitted.weights
    key = same_text_key(query)
    if key not in index.known:
        most = None if k is None else max(k, 2)  # the confidence looks at the second
        return fuse(candidates, weights=weights, k=most)
    fused = fuse(candidates, weights=weights)
    preferred = preferred_by_users(index, query)

    def order(candidate: Candidate) -> tuple[int, bool]:
        known = candidate.question
        is_other = known is None or same_text_key(known) != key
        users = preferred[candidate.answer_id].users if candidate.answer_id in preferred else 0
        return -users, is_other

    return sorted(fused, key=order)


def preferred_by_users(index: SearchIndex, query: str) -> Mapping[str, Preference]:
    """Return the answers that users chose for this very question, by answer id."""
    return index.preferred.get(same_text_key(query), {})


def _hit(
    index: SearchIndex,
    candidate: Candidate,
    evidence: Mapping[str, Evidence],
    confidence: float | None,
    corrected: str | None,
) -> Hit:
    answer = index.answers[candidate.answer_id]
    return Hit(
        answer_id=answer.id,
        text=answer.text,
        score=candidate.score,
        signals=evidence,
        question=candidate.question,
        confidence=confidence,
        corrected=corrected,
        metadata=answer.metadata,
    )
