"""MultipleNegativesRankingLoss without negatives that a guide model considers right.

GISTEmbed (Solatorio 2024): a candidate is left out if the guide's cosine for it is above that of
the anchor's own positive, minus a margin. It is then probably right, or a near-duplicate of a right
answer. The same loss in sentence-transformers needs a transformers tokenizer. Here the guide
encodes all texts once, and vectors are looked up by row number. So any model can be trained or
guide, and the guide costs no time in a step.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin
from sentence_transformers.base.losses.merged_forward import embed_columns
from torch import Tensor, nn
from torch.nn import functional

from dotbogi.search.encoders import Encoder
from dotbogi.training.fit.gathered import gathered, gathered_labels

_SAMPLE = 2000  # rows

Features = Iterable[dict[str, Tensor]]


class GuideVectors:
    """The guide's unit vectors for every text of every row of a fit."""

    def __init__(self, encoder: Encoder, columns: Mapping[str, Sequence[str]]) -> None:
        """Encode the columns: questions first, then positives and negatives."""
        questions, *answers = columns.values()
        self._questions, self._question_of = _vectors_and_rows(questions, encoder.encode_queries)
        flat = [text for column in answers for text in column]
        self._answers, rows = _vectors_and_rows(flat, encoder.encode_answers)
        self._answer_of = rows.reshape(len(answers), len(questions))

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors of the rows' questions, and of their answers, column after column."""
        rows = rows.cpu()
        return (
            self._questions[self._question_of[rows]],
            self._answers[self._answer_of[:, rows].reshape(-1)],
        )

    def share_left_out(self, margin: float) -> float:
        """Return the share of other rows' positives that is left out, estimated on a sample."""
        rows = torch.randperm(len(self._question_of), generator=torch.Generator().manual_seed(0))
        questions, answers = self.of(rows[:_SAMPLE])
        cosines = questions @ answers[: len(questions)].T
        left_out = cosines > cosines.diagonal()[:, None] - margin
        left_out.fill_diagonal_(False)
        return float(left_out.sum()) / max(1, len(cosines) * (len(cosines) - 1))


def _vectors_and_rows(texts: Sequence[str], encode: Any) -> tuple[Tensor, Tensor]:
    """Return the vectors of the distinct texts, and for each text the row of its vector."""
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    vectors = torch.from_numpy(np.asarray(encode(list(row_of)), np.float32))
    return vectors, torch.tensor([row_of[text] for text in texts])


class GuidedLoss(nn.Module):
    """MNR over the candidates that the guide leaves in; `labels` are row numbers."""

    def __init__(
        self,
        model: Any,
        guide: GuideVectors,
        *,
        temperature: float,
        margin: float,
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.guide = model, guide
        self.temperature, self.margin, self.symmetric = temperature, margin, symmetric

    def forward(self, sentence_features: Features, labels: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        embeddings = gathered(embed_columns(self.model, sentence_features))
        rows = gathered_labels(labels)
        whole = torch.arange(len(rows), device=embeddings[0].device)
        return self._share_of_loss(embeddings, rows, whole)

    def _share_of_loss(self, embeddings: Sequence[Tensor], rows: Tensor, part: Tensor) -> Tensor:
        """Return the share of a batch's mean loss from the anchors at positions `part`."""
        anchors, *answers = (functional.normalize(column.float()) for column in embeddings)
        guide_anchors, guide_answers = (v.to(anchors.device) for v in self.guide.of(rows))
        positives, guide_positives = answers[0], guide_answers[: len(rows)]
        bound = (guide_anchors * guide_positives).sum(1)[part, None] - self.margin
        directions = [(anchors, torch.cat(answers), guide_anchors, guide_answers)]
        if self.symmetric:
            directions.append((positives, anchors, guide_positives, guide_anchors))
        losses = []
        for sources, candidates, guide_sources, guide_candidates in directions:
            left_out = guide_sources[part] @ guide_candidates.T > bound
            own = torch.arange(len(part), device=part.device)
            left_out[own, part] = False  # an anchor keeps its own positive
            scores = sources[part] @ candidates.T / self.temperature
            scores = scores.masked_fill(left_out, -torch.inf)
            losses.append(functional.cross_entropy(scores, part, reduction="sum"))
        return torch.stack(losses).mean() / len(rows)


class CachedGuidedLoss(CachedLossMixin, GuidedLoss):  # type: ignore[misc]  # not followed by mypy
    """GuidedLoss in the memory of a small batch (GradCache, Gao et al. 2021)."""

    def __init__(self, *args: Any, mini_batch_size: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mini_batch_size = mini_batch_size

    def forward(self, sentence_features: Features, labels: Tensor) -> Tensor:
        """Return the mean loss of a batch; its texts are encoded twice, a few at a time."""
        loss: Tensor = CachedLossMixin.forward_cached(self, sentence_features, labels)
        return loss

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor, *, with_backward: bool = False
    ) -> Tensor:
        """Return the loss; `with_backward` also computes the gradients of the vectors."""
        embeddings = gathered([torch.cat(column) for column in reps])
        rows = gathered_labels(labels)
        size, shares = len(rows), []
        for start in range(0, size, self.mini_batch_size):
            stop = min(start + self.mini_batch_size, size)
            part = torch.arange(start, stop, device=embeddings[0].device)
            share = self._share_of_loss(embeddings, rows, part)
            if with_backward:
                share.backward()  # type: ignore[no-untyped-call]
            shares.append(share.detach())
        return torch.stack(shares).sum()
