"""One full fit with SentenceTransformerTrainer."""

import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import BatchSamplers, MultiDatasetBatchSamplers
from transformers import PrinterCallback
from transformers.integrations import TensorBoardCallback
from transformers.trainer_utils import get_last_checkpoint

from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.files import write_json
from dotbogi.search.encoders import open_encoder
from dotbogi.search.encoders.torch_encoder import load_sentence_transformer
from dotbogi.training.fit.columns import column_prompts, make_dataset
from dotbogi.training.fit.config import TrainConfig, TrainingRow
from dotbogi.training.fit.guided import GuideVectors
from dotbogi.training.fit.objectives import GUIDED, SCORED, make_loss
from dotbogi.training.fit.sampler import LABEL, NoSharedAnswerSampler

logger = logging.getLogger(__name__)


def finetune(
    base: Path,
    rows: Sequence[TrainingRow] | Mapping[str, Sequence[TrainingRow]],
    config: TrainConfig,
    folder: Path,
    *,
    events: Path | None = None,
    guide: Path | None = None,
    progress: bool = False,
) -> list[dict[str, float]]:
    """Train a model from `base` on the rows and write it to `folder`/model.

    The weights are those after the last epoch; choosing an epoch would need separate questions.
    After an interruption, the same call continues from the last complete checkpoint.

    Args:
        base: a sentence-transformers folder.
        rows: question, positive and negatives as texts; or such rows by source, and then each
            batch has rows of one source.
        config: settings of the fit.
        folder: also holds checkpoints during training.
        events: folder for TensorBoard's files; outside of `folder`, which is deleted after the run.
        guide: folder of the guide's model and encoder; None uses `base`.
        progress: show a progress bar.

    Returns:
        The log: loss and learning rate by epoch.
    """
    if (folder / "model").is_dir():  # interrupted after the fit, before its event
        log: list[dict[str, float]] = json.loads((folder / "log.json").read_text(encoding="utf-8"))
        return log
    data = make_dataset(rows, config)
    guide_vectors = _guide_vectors(guide or base.parent, data, config)
    model = load_sentence_transformer(base)
    model.model_card_data.widget = [{}]  # else the trainer looks for examples for a model card
    prompts = column_prompts(model, data, config)
    checkpoints = folder.resolve() / "checkpoints"
    trainer = _Trainer(
        model=model,
        args=_arguments(config, checkpoints, prompts, progress),
        train_dataset=data,
        loss=make_loss(model, config, guide_vectors),
        callbacks=_callbacks(config, events or folder / "events"),
    )
    if not progress:
        trainer.remove_callback(PrinterCallback)
    checkpoint = _last_complete_checkpoint(checkpoints)
    if checkpoint:
        logger.info("resuming from %s", checkpoint)
    with redirect_stdout(sys.stderr):  # trackio prints; stdout is for the command's output
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    log = [
        {name: float(value) for name, value in entry.items() if isinstance(value, int | float)}
        for entry in trainer.state.log_history
    ]
    _save(model, log, folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return log


def _save(model: SentenceTransformer, log: Sequence[Mapping[str, float]], folder: Path) -> None:
    """Write the model, and the log beside it.

    Raises:
        DotbogiError: the fit diverged.
    """
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise DotbogiError(
            "training diverged: the model's weights are not numbers. Lower --learning-rate."
        )
    staged = folder / ".model"
    shutil.rmtree(staged, ignore_errors=True)
    model.save(str(staged), create_model_card=False)
    write_json(folder / "log.json", log)
    staged.rename(folder / "model")


class _Trainer(SentenceTransformerTrainer):
    """Writes checkpoints without a model card (seconds each) and without pickled arguments."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        assert self.model is not None
        self.model.save(output_dir or self.args.output_dir, create_model_card=False)


def _guide_vectors(
    folder: Path, data: Dataset | DatasetDict, config: TrainConfig
) -> GuideVectors | None:
    if config.objective not in GUIDED:
        return None
    assert isinstance(data, Dataset), "rows by source are not guided"
    columns = {name: data[name][:] for name in data.column_names if name != LABEL}
    guide = GuideVectors(open_encoder(folder), columns)
    share = 100 * guide.share_left_out(config.guide_margin)
    logger.info("the guide leaves out %.1f%% of the other rows' answers", share)
    return guide


def _callbacks(config: TrainConfig, events: Path) -> list[Any]:
    """Return TensorBoard's callback where it is asked for."""
    if config.report_to != "tensorboard":
        return []
    callback = TensorBoardCallback()
    callback.logging_dir = str(events)
    return [callback]


def _arguments(
    config: TrainConfig,
    folder: Path,
    prompts: Mapping[str, str],
    progress: bool,
) -> SentenceTransformerTrainingArguments:
    import torch

    on_gpu = torch.cuda.is_available()
    sampler = BatchSamplers.BATCH_SAMPLER if config.objective in SCORED else NoSharedAnswerSampler
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_share,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        batch_sampler=sampler,
        multi_dataset_batch_sampler=MultiDatasetBatchSamplers.PROPORTIONAL,
        prompts={name: prompt for name, prompt in prompts.items() if prompt} or None,
        bf16=on_gpu and torch.cuda.is_bf16_supported(),
        use_cpu=not on_gpu,
        save_strategy="epoch",
        save_total_limit=2,
        logging_strategy="epoch",
        disable_tqdm=not progress,
        report_to="trackio" if config.report_to == "trackio" else "none",
        project="dotbogi",
        run_name=str(folder.parent),  # the same after a resume, different for each workspace
        trackio_static_space_id=False,  # nothing leaves this machine
        seed=config.seed,
        data_seed=config.seed,
    )


def _last_complete_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint; delete incomplete ones.

    The trainer writes trainer_state.json last.
    """
    while folder.is_dir() and (newest := get_last_checkpoint(str(folder))):
        checkpoint = Path(newest)
        path = checkpoint / "trainer_state.json"
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
            continue
        return checkpoint
    return None
