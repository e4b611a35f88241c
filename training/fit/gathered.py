"""Losses over the rows of all processes: each computes the loss of the whole batch.

Gathered vectors pass gradients back to the process that they are from, summed over the losses of
all processes, and DistributedDataParallel divides by their number. So the weights move as they
would in one process with the whole batch, however its rows are shared.
"""

from collections.abc import Sequence

import torch
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    CoSENTLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.util import all_gather, all_gather_with_grad
from torch import Tensor
from torch.nn import functional

from dotbogi.training.fit import processes


def gathered(columns: Sequence[Tensor]) -> list[Tensor]:
    """Return columns of vectors (rows × dim) with the rows of all processes, in their order."""
    if processes.count() == 1:
        return list(columns)
    sizes = _sizes(columns[0])
    padded = [functional.pad(column, (0, 0, 0, max(sizes) - len(column))) for column in columns]
    return [_without_padding(all_gather_with_grad(column), sizes) for column in padded]


def gathered_labels(labels: Tensor) -> Tensor:
    """Return the labels of all processes, in their order."""
    if processes.count() == 1:
        return labels
    sizes = _sizes(labels)
    padded = functional.pad(labels, (0, max(sizes) - len(labels)))
    return _without_padding(all_gather(padded), sizes)


def _sizes(own: Tensor) -> list[int]:
    sizes: list[int] = all_gather(torch.tensor([len(own)], device=own.device)).tolist()
    return sizes


def _without_padding(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    parts = rows.chunk(len(sizes))
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


class GatheredMNRLoss(MultipleNegativesRankingLoss):
    """MNR over the rows of all processes."""

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> Tensor:
        """Return the loss of the whole batch."""
        loss: Tensor = super().compute_loss_from_embeddings(gathered(embeddings), labels)
        return loss


class GatheredCachedMNRLoss(CachedMultipleNegativesRankingLoss):
    """Cached MNR over the rows of all processes."""

    def calculate_loss(
        self,
        reps: list[list[Tensor]],
        labels: Tensor | None = None,
        *,
        with_backward: bool = False,
    ) -> Tensor:
        """Return the loss of the whole batch."""
        whole = [[column] for column in gathered([torch.cat(column) for column in reps])]
        loss: Tensor = super().calculate_loss(whole, labels, with_backward=with_backward)
        return loss


class GatheredCoSENTLoss(CoSENTLoss):
    """CoSENT, which compares all pairs of a batch, over the pairs of all processes."""

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> Tensor:
        """Return the loss of the whole batch."""
        loss: Tensor = super().compute_loss_from_embeddings(
            gathered(embeddings), gathered_labels(labels)
        )
        return loss
