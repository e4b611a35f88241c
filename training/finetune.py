"""One fit: MultipleNegativesRankingLoss through SentenceTransformerTrainer."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import MultiDatasetBatchSamplers
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from transformers import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint

from indexes.dense import Vectors
from indexes.errors import UsageError
from indexes.store import write_json
from search.encoders import load_sentence_transformer, unit_rows
from search.static import compress
from training.fit import TrainConfig, TrainingRow
from training.sampler import NoSharedAnswerSampler
from training.static_rows import UsedRows, token_dropout

METRIC = "dev_mrr@10"

Encode = Callable[[Sequence[str]], Vectors]

logger = logging.getLogger(__name__)


def finetune(
    base: Path,
    rows: Sequence[TrainingRow] | Mapping[str, Sequence[TrainingRow]],
    config: TrainConfig,
    folder: Path,
    *,
    evaluate: Callable[[Encode, Encode], float] | None,
    progress: bool = False,
) -> list[dict[str, float]]:
    """Train a model from `base` on the rows and write the best checkpoint to `folder`/model.

    After each epoch the development split is searched; the checkpoint with the highest dev
    MRR@10 wins. Interrupted, the same call goes on from the last complete checkpoint.

    Args:
        base: a sentence-transformers folder.
        rows: question, positive and negatives as texts; or such rows by source, and then every
            batch is of one source.
        config: settings of the fit.
        folder: keeps checkpoints while training.
        evaluate: gives dev MRR@10 from (encode queries, encode answers). None keeps the last
            weights, and no checkpoints on the way.
        progress: show a bar.

    Returns:
        The log: loss, learning rate and dev MRR@10 by step.
    """
    if (folder / "model").is_dir():  # cut off between the fit and the ledger
        log: list[dict[str, float]] = json.loads((folder / "log.json").read_text(encoding="utf-8"))
        return log
    model = load_sentence_transformer(base)
    model.model_card_data.widget = [{}]  # or the trainer spends time on examples for a model card
    data = _dataset(rows)
    checkpoints = folder.resolve() / "checkpoints"
    with _used_rows(model, data, config.token_dropout) as static:
        trainer = _Trainer(
            model=model,
            args=_arguments(config, checkpoints, model, data, evaluate is not None, progress),
            train_dataset=data,
            loss=_loss(model, config),
            evaluator=_DevEvaluator(evaluate, static) if evaluate else None,
        )
        if not progress:
            trainer.remove_callback(PrinterCallback)
        checkpoint = _last_complete_checkpoint(checkpoints)
        if checkpoint:
            logger.info("resuming from %s", checkpoint)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    staged = folder / ".model"
    shutil.rmtree(staged, ignore_errors=True)
    model.save(str(staged), create_model_card=False)
    if static:
        compress(staged)
    log = [
        {name: float(value) for name, value in entry.items() if isinstance(value, int | float)}
        for entry in trainer.state.log_history
    ]
    write_json(folder / "log.json", log)
    staged.rename(folder / "model")
    shutil.rmtree(checkpoints, ignore_errors=True)
    return log


@contextmanager
def _used_rows(
    model: SentenceTransformer, data: Dataset | DatasetDict, dropout: float
) -> Iterator[UsedRows | None]:
    """Fit a static model's used rows alone, with token dropout; None for any other model."""
    if not isinstance(model[0], StaticEmbedding):
        if dropout:
            raise UsageError("token dropout is for static-embedding models; leave it out.")
        yield None
        return
    rows = UsedRows(model, _texts(data, model))
    hook = model[0].register_forward_pre_hook(token_dropout(dropout)) if dropout else None
    yield rows
    if hook:
        hook.remove()
    rows.put_back()


def _loss(model: SentenceTransformer, config: TrainConfig) -> MultipleNegativesRankingLoss:
    both = ("query_to_doc", "doc_to_query")
    return MultipleNegativesRankingLoss(
        model,
        scale=1 / config.temperature,
        directions=both if config.symmetric else both[:1],
        partition_mode="per_direction" if config.symmetric else "joint",
    )


class _Trainer(SentenceTransformerTrainer):
    """Checkpoints without a model card (seconds each) and without pickled arguments."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        assert self.model is not None
        self.model.save(output_dir or self.args.output_dir, create_model_card=False)


class _DevEvaluator(SentenceEvaluator):
    """Dev MRR@10 of the model in training, called by the trainer after each epoch."""

    def __init__(
        self, evaluate: Callable[[Encode, Encode], float], static: UsedRows | None
    ) -> None:
        super().__init__()
        self._evaluate, self._static = evaluate, static
        self.primary_metric = METRIC

    def __call__(
        self,
        model: SentenceTransformer,
        output_path: str | None = None,
        epoch: int = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        del output_path, epoch, steps

        if self._static:
            query, answer = _prompts(model)
            ours = self._static.encode
            score = self._evaluate(
                lambda texts: ours([query + text for text in texts]),
                lambda texts: ours([answer + text for text in texts]),
            )
        else:

            def encoder(encode: Any) -> Encode:
                return lambda texts: unit_rows(encode(list(texts), show_progress_bar=False))

            score = self._evaluate(encoder(model.encode_query), encoder(model.encode_document))
        return {METRIC: score}


def _dataset(
    rows: Sequence[TrainingRow] | Mapping[str, Sequence[TrainingRow]],
) -> Dataset | DatasetDict:
    """Return columns anchor, positive, negative_1 …, whose order is their meaning."""
    if isinstance(rows, Mapping):
        return DatasetDict({source: _dataset(of_source) for source, of_source in rows.items()})
    columns = {
        "anchor": [row.question for row in rows],
        "positive": [row.positive for row in rows],
    }
    for number in range(len(rows[0].negatives)):
        columns[f"negative_{number + 1}"] = [row.negatives[number] for row in rows]
    return Dataset.from_dict(columns)


def _prompts(model: SentenceTransformer) -> tuple[str, str]:
    return model.prompts.get("query") or "", model.prompts.get("document") or ""


def _texts(data: Dataset | DatasetDict, model: SentenceTransformer) -> set[str]:
    """Return all texts of a fit as the model reads them."""
    if isinstance(data, DatasetDict):
        return set().union(*(_texts(part, model) for part in data.values()))
    query, answer = _prompts(model)
    anchor, *others = data.column_names
    texts = {query + text for text in data[anchor]}
    return texts.union(*({answer + text for text in data[name]} for name in others))


def _arguments(
    config: TrainConfig,
    folder: Path,
    model: SentenceTransformer,
    data: Dataset | DatasetDict,
    evaluated: bool,
    progress: bool,
) -> SentenceTransformerTrainingArguments:
    import torch

    on_gpu = torch.cuda.is_available()
    names = data.column_names
    columns = next(iter(names.values())) if isinstance(names, dict) else names
    query, answer = _prompts(model)
    prompts = {"anchor": query, **dict.fromkeys(columns[1:], answer)}
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_share,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        batch_sampler=NoSharedAnswerSampler,
        multi_dataset_batch_sampler=MultiDatasetBatchSamplers.PROPORTIONAL,
        prompts={name: prompt for name, prompt in prompts.items() if prompt} or None,
        bf16=on_gpu and torch.cuda.is_bf16_supported(),
        use_cpu=not on_gpu,
        eval_strategy="epoch" if evaluated else "no",
        save_strategy="epoch" if evaluated else "no",
        save_total_limit=2,
        load_best_model_at_end=evaluated,
        metric_for_best_model=f"eval_{METRIC}",
        greater_is_better=True,
        logging_strategy="epoch",
        disable_tqdm=not progress,
        report_to="none",
        seed=config.seed,
        data_seed=config.seed,
    )


def _last_complete_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end; drop a torn one.

    The trainer writes trainer_state.json last.
    """
    while folder.is_dir() and (found := get_last_checkpoint(str(folder))):
        checkpoint = Path(found)
        path = checkpoint / "trainer_state.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
            continue
        if best := state["best_model_checkpoint"]:  # the workspace may have been moved
            write_json(path, {**state, "best_model_checkpoint": str(folder / Path(best).name)})
        return checkpoint
    return None
