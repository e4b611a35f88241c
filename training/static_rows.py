"""What is particular to fitting a static model: the rows that take part, and token dropout."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from indexes.dense import Vectors
from search.encoders import encode_static
from search.static import PieceTable


class UsedRows:
    """Lets a fit touch only the rows of a static model that the training texts use.

    The others get no gradient, so the result is that of a fit of the whole table. But a step and
    a checkpoint cost what a table of the used rows costs: of the starter's 60,000 a collection of
    some thousand pairs uses a tenth.
    """

    def __init__(self, model: Any, texts: Iterable[str]) -> None:
        self._module = model[0]
        self._table: torch.Tensor = self._module.embedding.weight.detach().float().cpu()
        encodings = self._module.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        self._used = torch.tensor(sorted({i for e in encodings for i in e.ids}), dtype=torch.long)
        places = torch.zeros(len(self._table), dtype=torch.long)
        places[self._used] = torch.arange(len(self._used))

        def renumber(module: Any, inputs: Any) -> Any:
            del module
            ids = inputs[0]["input_ids"]
            return ({**inputs[0], "input_ids": places.to(ids.device)[ids]},)

        self._hook = self._module.register_forward_pre_hook(renumber)
        self._module.embedding = nn.EmbeddingBag.from_pretrained(
            self._table[self._used], freeze=False
        )

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows as the whole table, with its rows as they are now, does."""
        return encode_static(self._module.tokenizer, PieceTable(self._whole().numpy()), texts)

    def put_back(self) -> None:
        """Give the model its whole table again, with the rows that were trained."""
        self._hook.remove()
        self._module.embedding = nn.EmbeddingBag.from_pretrained(self._whole(), freeze=False)

    def _whole(self) -> torch.Tensor:
        self._table[self._used] = self._module.embedding.weight.detach().float().cpu()
        return self._table


def token_dropout(share: float) -> Callable[[Any, Any], Any]:
    """Return a hook that leaves out tokens at random before the mean over them is taken.

    With a part of its words missing, a text has to be recognised by the others too.
    """

    def drop(module: Any, inputs: Any) -> Any:
        if not module.training:
            return None
        features = inputs[0]
        ids, offsets = features["input_ids"], features["offsets"]
        bags = torch.bucketize(torch.arange(len(ids), device=ids.device), offsets, right=True) - 1
        kept = torch.rand(len(ids), device=ids.device) >= share
        left = torch.zeros_like(offsets).index_add_(0, bags, kept.long())
        kept |= left[bags] == 0  # a text that lost everything keeps all
        counts = torch.zeros_like(offsets).index_add_(0, bags[kept], torch.ones_like(bags[kept]))
        return ({**features, "input_ids": ids[kept], "offsets": counts.cumsum(0) - counts},)

    return drop
