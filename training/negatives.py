"""Hard negatives for the train side of a collection, each with where it came from and why."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from indexes.analyzer import Analyzer
from indexes.collection import Answer, Collection
from indexes.dense import DenseIndex, Vectors
from indexes.errors import UsageError
from indexes.hits import Ranking
from indexes.lexical import BM25Index
from indexes.text import same_text_key
from indexes.views import View
from search.encoders import Encoder

Source = Literal["bm25", "model", "random"]
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningConfig:
    """How negatives are mined. Saved in the ledger."""

    quotas: Mapping[Source, int] = field(
        default_factory=lambda: {"bm25": 1, "model": 1, "random": 1}
    )
    window: int = 50  # best answers of bm25 and of the model that are looked through
    bound: float = 0.95  # a mined negative scores at most this share of the positive's cosine
    seed: int = 42


def parse_quotas(text: str) -> dict[Source, int]:
    """Read quotas as people type them.

    >>> parse_quotas("bm25:2,model:4")
    {'bm25': 2, 'model': 4}

    Raises:
        UsageError: a source is unknown or its quota is no number.
    """
    quotas: dict[Source, int] = {}
    for part in text.split(","):
        source, _, count = part.strip().partition(":")
        if source not in SOURCES or not (count.isascii() and count.isdigit()):
            raise UsageError(
                f"--negatives: {part.strip()!r} is not SOURCE:COUNT with a source of "
                f"{', '.join(SOURCES)}. Example: bm25:1,model:1,random:1"
            )
        quotas[source] = int(count)
    return quotas


@dataclass(frozen=True, slots=True)
class Negative:
    """One wrong answer to a train-side question. Cosines are those of the mining model."""

    question: str
    positive_id: str
    answer_id: str
    source: Source
    rank: int  # in its source, from 1; 0 for random
    score: float  # BM25 for bm25, cosine for the others
    cosine: float  # of question and negative
    positive_cosine: float
    bound: float  # the highest cosine that passes


@dataclass(frozen=True, slots=True)
class Mined:
    """What one round's mining gave.

    `rows` holds the negatives of each pair, as many for each; `suspects` were over the bound and
    may be right answers that nobody has paired with the question yet.
    """

    rows: dict[tuple[str, str], list[Negative]]
    suspects: list[Negative]
    counts: dict[str, dict[str, int]]  # source → {asked, over_bound, kept}

    def all(self) -> Iterator[Negative]:
        """Yield every mined negative."""
        for negatives in self.rows.values():
            yield from negatives


def train_side(collection: Collection) -> Collection:
    """Return the train questions with the answers that negatives may come from.

    These are the answers of train questions, and answers without any known question: an answer
    known from dev or test questions alone never appears in training, not even as a wrong one.
    """
    train = [question for question in collection.questions if question.split == "train"]
    usable = {question.answer_id for question in train}
    held_out = {question.answer_id for question in collection.questions} - usable
    return Collection([a for a in collection.answers if a.id not in held_out], train)


def mine(
    collection: Collection, encoder: Encoder, analyzer: Analyzer, config: MiningConfig
) -> Mined:
    """Mine negatives for every train pair, by quota from each source.

    Left out are: every answer of the same normalised question, every text equal to one of these
    after normalisation, answers known only from dev or test, and, from bm25 and model, what
    scores above the positive-aware bound (NV-Retriever, Moreira et al. 2024). Where a source
    starves, random answers take its places, so that every pair has the same number.

    Args:
        collection: split; only its train side is used.
        encoder: the model whose mistakes are looked for; vectors are made afresh.
        analyzer: for BM25.
        config: quotas, window, bound and seed.
    """
    side = train_side(collection)
    miner = _Miner(side, encoder, analyzer, config)
    rows: dict[tuple[str, str], list[Negative]] = {}
    suspects: list[Negative] = []
    counts = {source: Counter({"asked": 0, "over_bound": 0, "kept": 0}) for source in SOURCES}
    for number, question in enumerate(side.questions):
        pair = (question.text, question.answer_id)
        rows[pair] = miner.negatives(number, suspects, counts)
    fewest = min(map(len, rows.values()), default=0)  # a tiny collection has not enough
    return Mined(
        rows={pair: negatives[:fewest] for pair, negatives in rows.items()},
        suspects=suspects,
        counts={source: dict(counted) for source, counted in counts.items()},
    )


class _Miner:
    """The train side, searched once by each source."""

    def __init__(
        self, side: Collection, encoder: Encoder, analyzer: Analyzer, config: MiningConfig
    ) -> None:
        self._side, self._config = side, config
        self._answers: list[Answer] = side.answers
        self._positions = {answer.id: i for i, answer in enumerate(side.answers)}
        self._keys = [same_text_key(answer.text) for answer in side.answers]
        self._right = _right_keys(side)
        texts = [answer.text for answer in side.answers]
        questions = [question.text for question in side.questions]
        self._answer_vectors: Vectors = encoder.encode_answers(texts)
        self._question_vectors: Vectors = encoder.encode_queries(questions)
        self._rng = np.random.default_rng(config.seed)
        own = np.arange(len(texts))
        view = View(
            [answer.id for answer in side.answers],
            own,
            BM25Index.build(analyzer.tokenize(texts)),
            DenseIndex.build(self._answer_vectors),
            own,  # whole answers: they are what is trained on
        )
        wanted = {source for source, quota in config.quotas.items() if quota}
        self._found: dict[Source, list[Ranking]] = {}
        if "bm25" in wanted:
            tokens = analyzer.tokenize_queries(questions)
            self._found["bm25"] = view.search_bm25(tokens, config.window)
        if "model" in wanted:
            self._found["model"] = view.search_dense(self._question_vectors, config.window)

    def negatives(
        self, number: int, suspects: list[Negative], counts: Mapping[Source, Counter[str]]
    ) -> list[Negative]:
        """Return the negatives of one train pair; what the bound removed goes to `suspects`."""
        question = self._side.questions[number]
        right = self._right[same_text_key(question.text)]
        cosines: NDArray[np.float32] = self._answer_vectors @ self._question_vectors[number]
        positive_cosine = float(cosines[self._positions[question.answer_id]])
        bound = positive_cosine - (1 - self._config.bound) * abs(positive_cosine)
        taken: set[str] = set(right)
        chosen: list[Negative] = []

        def negative(source: Source, position: int, rank: int, score: float) -> Negative:
            return Negative(
                question=question.text,
                positive_id=question.answer_id,
                answer_id=self._answers[position].id,
                source=source,
                rank=rank,
                score=score,
                cosine=float(cosines[position]),
                positive_cosine=positive_cosine,
                bound=bound,
            )

        for source, rankings in self._found.items():
            quota = self._config.quotas[source]
            counts[source]["asked"] += quota
            for rank, candidate in enumerate(rankings[number], 1):
                if quota == 0:
                    break
                position = self._positions[candidate.answer_id]
                if self._keys[position] in taken:
                    continue
                found = negative(source, position, rank, candidate.score)
                if found.cosine > bound:
                    suspects.append(found)
                    counts[source]["over_bound"] += 1
                    continue
                chosen.append(found)
                taken.add(self._keys[position])
                counts[source]["kept"] += 1
                quota -= 1
        counts["random"]["asked"] += self._config.quotas.get("random", 0)
        missing = sum(self._config.quotas.values()) - len(chosen)
        for position in self._random_positions(taken, missing):
            chosen.append(negative("random", position, 0, float(cosines[position])))
            counts["random"]["kept"] += 1
        return chosen

    def _random_positions(self, taken: set[str], count: int) -> list[int]:
        """Draw answers whose texts are not taken yet; fewer where there are no more.

        No bound here: a random answer is as likely to be right as any in-batch negative.
        """
        drawn: list[int] = []
        if count > 0:
            for position in self._rng.permutation(min(len(self._answers), 1 << 20)):
                if self._keys[position] not in taken:
                    drawn.append(int(position))
                    taken.add(self._keys[position])
                    if len(drawn) == count:
                        break
        return drawn


def _right_keys(side: Collection) -> dict[str, set[str]]:
    """Map each normalised question to the normalised texts of all its answers."""
    texts = {answer.id: same_text_key(answer.text) for answer in side.answers}
    right: dict[str, set[str]] = defaultdict(set)
    for question in side.questions:
        right[same_text_key(question.text)].add(texts[question.answer_id])
    return right


def save_negatives(negatives: Sequence[Negative], path: Path) -> None:
    """Write negatives with their provenance as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("question", pa.string()),
            ("positive_id", pa.string()),
            ("answer_id", pa.string()),
            ("source", pa.string()),
            ("rank", pa.int32()),
            ("score", pa.float64()),
            ("cosine", pa.float64()),
            ("positive_cosine", pa.float64()),
            ("bound", pa.float64()),
        ]
    )
    columns = {name: [getattr(n, name) for n in negatives] for name in schema.names}
    temporary = path.with_suffix(".tmp")
    pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")
    temporary.replace(path)


def open_negatives(path: Path) -> list[Negative]:
    """Read what `save_negatives` wrote."""
    import pyarrow.parquet as pq

    return [Negative(**row) for row in pq.read_table(path).to_pylist()]
