"""Adapters, trained without a GPU: residual maps on the frozen, centred vectors of the base.

The base encodes every text once. A fit only multiplies matrices, and takes seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import DotbogiError
from dotbogi.search.geometry import Adapter
from dotbogi.training.fit.config import NOT_A_NUMBER

if TYPE_CHECKING:
    from torch import Tensor

FEWEST_PAIRS = 60  # with fewer, an adapter did harm on a development set (benchmarks/LOG.md)
_LEAST_STEPS, _MOST_STEPS = 100, 250

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterConfig:
    """Settings of one adapter fit. Saved in the ledger. The defaults are from benchmarks/LOG.md."""

    epochs: int = 10  # but 100 to 250 steps in all
    batch_size: int = 256  # pairs per step; in-batch negatives = batch_size - 1
    learning_rate: float = 1e-3  # peak of Adam, after linear warm-up
    temperature: float = 0.05  # logits = cosine / temperature
    warmup_share: float = 0.1  # of all steps
    penalty: float = 30.0  # on the maps' squared elements; divided by the number of pairs
    dropout: float = 0.1  # share of the inputs
    seed: int = 42


def adapter_config(fit: Mapping[str, Any], seed: int) -> AdapterConfig:
    """Return the settings of an adapter fit: the defaults with the user's changes."""
    changed = {name: value for name, value in fit.items() if name != "objective"}
    return AdapterConfig(**{"seed": seed, **changed})


def learn_adapter(
    questions: Vectors,
    owners: Rows,
    answers: Vectors,
    *,
    config: AdapterConfig,
    negatives: Rows | None = None,
) -> tuple[Adapter, list[dict[str, float]]]:
    """Train the maps that bring known questions near their answers.

    The loss is the sum of three MultipleNegativesRanking losses (Henderson et al. 2017). In a
    batch, each question has three targets: its answer; the sum of that answer and its other known
    questions; and another question of the same answer. Pairs with the same answer are not negatives
    of each other. The maps start at zero, which is the base itself. A penalty pulls them back to
    zero, more weakly with more pairs.

    Args:
        questions: float32 pairs × dim, centred. Fewer than 60 leave the maps at zero.
        owners: int64, for each pair the row of its answer in `answers`.
        answers: float32 answers × dim, centred.
        config: settings of the fit.
        negatives: int64 pairs × n, rows of `answers` that are wrong for each pair; −1 is padding.

    Returns:
        The adapter, and the epoch, loss and learning rate after each pass over the pairs.

    Raises:
        DotbogiError: the fit ended with weights that are not numbers.
    """
    dim = questions.shape[1]
    if len(questions) < FEWEST_PAIRS or len(np.unique(owners)) < 2:
        zero = np.zeros((dim, dim), np.float32)
        return Adapter(query=zero, answer=zero), []
    fit = _Fit(questions, owners, answers, negatives, config)
    with one_thread():
        losses = [fit.step(rows) for rows in _batches(len(questions), config, fit.rng)]
    query, answer = (_finite(matrix) for matrix in fit.maps)
    return Adapter(query=query, answer=answer), _log(losses, len(questions), config)


def _finite(matrix: "Tensor") -> NDArray[np.float32]:
    """Return a trained map.

    Raises:
        DotbogiError: it has elements that are not numbers.
    """
    trained: NDArray[np.float32] = matrix.detach().numpy().copy()
    if not np.isfinite(trained).all():
        raise DotbogiError(NOT_A_NUMBER)
    return trained


def _log(losses: Sequence[float], pairs: int, config: AdapterConfig) -> list[dict[str, float]]:
    """Return the mean loss of each pass over the pairs, and the learning rate after it."""
    steps = max(1, round(pairs / config.batch_size))  # of one pass
    ends = range(steps, len(losses) + 1, steps)
    return [
        {
            "epoch": float(number),
            "loss": float(np.mean(losses[end - steps : end])),
            "learning_rate": config.learning_rate * _share_of_rate(end, len(losses), config),
        }
        for number, end in enumerate(ends, 1)
    ]


def _share_of_rate(step: int, steps: int, config: AdapterConfig) -> float:
    """Return the learning rate of a step (counted from 0) as a share of the peak."""
    warmup = max(1.0, config.warmup_share * steps)
    return min(1.0, (step + 1) / warmup) * (1 - step / steps)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, so that a repeated run gives the same result.

    On a busy machine two threads took minutes for what one thread does in seconds. It holds for
    the whole process: around several fits side by side, enter it once.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Fit:
    """The maps during training."""

    def __init__(
        self,
        questions: Vectors,
        owners: Rows,
        answers: Vectors,
        negatives: Rows | None,
        config: AdapterConfig,
    ) -> None:
        import torch

        self.config, self.rng = config, np.random.default_rng(config.seed)
        self._draw = torch.Generator().manual_seed(config.seed)
        self._questions, self._answers = torch.from_numpy(questions), torch.from_numpy(answers)
        self._owners, self._siblings = torch.from_numpy(owners), _Siblings(owners, len(answers))
        self._negatives = None if negatives is None else torch.from_numpy(negatives)
        self._sums = torch.zeros_like(self._answers).index_add_(0, self._owners, self._questions)
        shape = questions.shape[1], questions.shape[1]
        self.maps = [torch.zeros(shape, requires_grad=True) for _ in ("query", "answer")]
        self._optimizer = torch.optim.Adam(self.maps, config.learning_rate)
        steps = _count_steps(len(questions), config)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: _share_of_rate(step, steps, config)
        )

    def step(self, rows: Rows) -> float:
        """Update the maps on some pairs, given by row; return the loss."""
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(rows)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return float(loss.detach())

    def _loss(self, rows: Rows) -> "Tensor":
        import torch
        from torch.nn.functional import normalize

        query_map, answer_map = self.maps
        batch = torch.from_numpy(rows)
        own = self._owners[batch]
        question = self._dropout(self._questions[batch])
        query = normalize(question + question @ query_map, dim=1)
        targets = own
        if self._negatives is not None:
            wrong = torch.unique(self._negatives[batch])
            targets = torch.cat([own, wrong[wrong >= 0]])
        answer = self._dropout(self._answers[targets])
        answer = answer + answer @ answer_map
        others = self._sums[targets].clone()
        others[: len(batch)] -= self._questions[batch]  # a question is not its own target
        whole = answer + others + others @ query_map
        penalty = self.config.penalty / len(self._questions)
        loss = penalty * ((query_map**2).sum() + (answer_map**2).sum())
        loss = loss + self._ranking(query, normalize(answer, dim=1), own, targets)
        loss = loss + self._ranking(query, normalize(whole, dim=1), own, targets)
        paired = np.flatnonzero(self._siblings.counts[own.numpy()] > 1)
        if len(paired) > 1:
            other = torch.from_numpy(self._siblings.draw(rows[paired], self.rng))
            sibling = self._dropout(self._questions[other])
            sibling = normalize(sibling + sibling @ query_map, dim=1)
            chosen = torch.from_numpy(paired)
            share = len(paired) / len(rows)
            owners = own[chosen], self._owners[other]
            loss = loss + share * self._ranking(query[chosen], sibling, *owners)
        return loss

    def _dropout(self, vectors: "Tensor") -> "Tensor":
        import torch

        kept = torch.rand(vectors.shape, generator=self._draw) >= self.config.dropout
        return vectors * kept / (1 - self.config.dropout)

    def _ranking(
        self, query: "Tensor", targets: "Tensor", owners: "Tensor", target_owners: "Tensor"
    ) -> "Tensor":
        """Return the mean cross-entropy of the queries; query i has target i."""
        import torch
        from torch.nn.functional import cross_entropy

        rows = torch.arange(len(query))
        same = owners[:, None] == target_owners[None, :]
        same[rows, rows] = False
        logits = query @ targets.T / self.config.temperature
        return cross_entropy(logits.masked_fill(same, -torch.inf), rows)


class _Siblings:
    """Draws another known question of the same answer."""

    def __init__(self, owners: Rows, answers: int) -> None:
        self._owners = owners
        self._order = np.argsort(owners, kind="stable")
        self._starts = np.searchsorted(owners[self._order], np.arange(answers))
        self.counts = np.bincount(owners, minlength=answers)
        self._positions = np.empty(len(owners), np.int64)
        self._positions[self._order] = np.arange(len(owners)) - self._starts[owners[self._order]]

    def draw(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return the row of another question for each of these; each has to have one."""
        owners = self._owners[rows]
        steps = rng.integers(1, self.counts[owners])
        positions = (self._positions[rows] + steps) % self.counts[owners]
        drawn: Rows = self._order[self._starts[owners] + positions]
        return drawn


def _count_steps(pairs: int, config: AdapterConfig) -> int:
    """Return the number of steps of a fit; a small table needs more passes than a large one."""
    return min(max(config.epochs * -(-pairs // config.batch_size), _LEAST_STEPS), _MOST_STEPS)


def _batches(pairs: int, config: AdapterConfig, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield the rows of each step, epoch after epoch; a last batch below half size is skipped."""
    order, start = rng.permutation(pairs), 0
    for _ in range(_count_steps(pairs, config)):
        if start >= pairs or (start and pairs - start < min(config.batch_size, pairs) // 2):
            order, start = rng.permutation(pairs), 0
        yield order[start : start + config.batch_size]
        start += config.batch_size


def learn_similarity(
    first: Vectors, second: Vectors, scores: Sequence[float], *, config: AdapterConfig
) -> Adapter:
    """Train one map for all texts, so that cosines order pairs as people scored them.

    CoSENT (Su 2022): of any two pairs in a batch, the one with the higher score has to have the
    higher cosine.

    Args:
        first: float32 pairs × dim, centred.
        second: the same for the other text of each pair.
        scores: one per pair; only their order counts.
        config: settings of the fit.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(config.seed)
    sides = torch.from_numpy(first), torch.from_numpy(second)
    targets = torch.tensor(scores)
    matrix = torch.zeros(first.shape[1], first.shape[1], requires_grad=True)
    optimizer = torch.optim.AdamW([matrix], config.learning_rate, weight_decay=0.01)
    draw = torch.Generator().manual_seed(config.seed)
    with one_thread():
        for _ in range(config.epochs):
            for batch in torch.split(
                torch.randperm(len(targets), generator=draw), config.batch_size
            ):
                one, other = (
                    functional.normalize(
                        side[batch] + functional.dropout(side[batch], config.dropout) @ matrix,
                        dim=1,
                    )
                    for side in sides
                )
                cosines = (one * other).sum(dim=1) / (4 * config.temperature)
                higher = targets[batch][:, None] > targets[batch]
                gaps = (cosines[None, :] - cosines[:, None])[higher]
                loss = torch.logsumexp(torch.cat([torch.zeros(1), gaps]), dim=0)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    trained = _finite(matrix)
    return Adapter(query=trained, answer=trained)
