"""One full fit with SentenceTransformerTrainer."""

import json
import logging
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import BatchSamplers, MultiDatasetBatchSamplers
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback
from transformers.integrations import TensorBoardCallback
from transformers.trainer_utils import get_last_checkpoint

from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.files import (
    digest_of_json,
    naming,
    reading,
    replace_file,
    sync,
    sync_tree,
    write_json,
)
from dotbogi.indexes.json_files import read_json
from dotbogi.search.encoders import open_encoder
from dotbogi.search.encoders.torch_encoder import load_sentence_transformer
from dotbogi.training.fit import processes
from dotbogi.training.fit.columns import column_prompts, make_dataset
from dotbogi.training.fit.config import NOT_A_NUMBER, TrainConfig, TrainingRow
from dotbogi.training.fit.guided import GuideVectors
from dotbogi.training.fit.objectives import GUIDED, SCORED, make_loss
from dotbogi.training.fit.sampler import LABEL, NoSharedAnswerSampler, Shares
from dotbogi.training.run_files import REMEDY, check_files, digests_of

_SEAL = "digests.json"  # in a checkpoint
_EARLIER = "An earlier checkpoint is used, or the fit starts again."

Rows = Sequence[TrainingRow] | Mapping[str, Sequence[TrainingRow]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Fit:
    """What each process needs for its part in a fit."""

    base: Path
    rows: Rows
    config: TrainConfig
    checkpoints: Path
    checkpoint: Path | None  # to continue from
    events: Path
    guide: GuideVectors | None
    progress: bool


def finetune(
    base: Path,
    rows: Rows,
    config: TrainConfig,
    folder: Path,
    *,
    events: Path | None = None,
    guide: Path | None = None,
    progress: bool = False,
) -> list[dict[str, float]]:
    """Train a model from `base` on the rows and write it to `folder`/model.

    The weights are those after the last epoch; choosing an epoch would need separate questions.
    After an interruption, the same call continues from the last complete checkpoint. Under
    torchrun, the other processes take part by `follow`.

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
    if (log := _finished(folder)) is not None:  # interrupted after the fit, before its event
        return log
    checkpoints = folder.resolve() / "checkpoints"
    checkpoint = _last_complete_checkpoint(checkpoints)
    if checkpoint:
        logger.info("resuming from %s", checkpoint)
    fit = _Fit(
        base=base,
        rows=rows,
        config=config,
        checkpoints=checkpoints,
        checkpoint=checkpoint,
        events=events or folder / "events",
        guide=_guide_vectors(guide or base.parent, rows, config),
        progress=progress,
    )
    processes.share(fit)
    model, log = _train(fit)
    _check_finite(model)
    _save(model, log, folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return log


def follow() -> None:
    """Take part in the fits of the process that leads, until it has no more of them."""
    while (fit := processes.shared()) is not None:
        _train(fit)
    processes.leave()


def _train(fit: _Fit) -> tuple[SentenceTransformer, list[dict[str, float]]]:
    """Return the trained model, which is the same in every process, and the log."""
    data = make_dataset(fit.rows, fit.config)
    model = load_sentence_transformer(fit.base)
    model.model_card_data.widget = [{}]  # else the trainer looks for examples for a model card
    progress = fit.progress and processes.rank() == 0
    trainer = _Trainer(
        model=model,
        args=_arguments(fit, column_prompts(model, data, fit.config), progress),
        train_dataset=data,
        loss=make_loss(model, fit.config, fit.guide),
        callbacks=_callbacks(fit.config, fit.events),
    )
    if not progress:
        trainer.remove_callback(PrinterCallback)
    checkpoint = str(fit.checkpoint) if fit.checkpoint else None
    # trackio prints; stdout is for the command's output
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        if processes.count() > 1:  # Accelerate and sentence-transformers call what torch will drop
            warnings.simplefilter("ignore", FutureWarning)
        trainer.train(resume_from_checkpoint=checkpoint)
    return model, [
        {name: float(value) for name, value in entry.items() if isinstance(value, int | float)}
        for entry in trainer.state.log_history
    ]


def _check_finite(model: SentenceTransformer) -> None:
    """Refuse weights that are not numbers.

    Raises:
        DotbogiError: the fit has failed.
    """
    import torch

    if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
        raise DotbogiError(NOT_A_NUMBER)


def _save(model: SentenceTransformer, log: Sequence[Mapping[str, float]], folder: Path) -> None:
    staged = folder / ".model"
    shutil.rmtree(staged, ignore_errors=True)
    model.save(str(staged), create_model_card=False)
    sync_tree(staged)
    write_json(folder / "log.json", {"log": log, "files": digests_of(staged)})
    staged.rename(folder / "model")
    sync(folder)


def _finished(folder: Path) -> list[dict[str, float]] | None:
    """Return the log of a fit that has ended; None if there is none whose files are intact."""
    if not (folder / "model").is_dir():
        return None
    try:
        stored = read_json(folder / "log.json", REMEDY)
        check_files(folder / "model", stored["files"])
        log: list[dict[str, float]] = stored["log"]
    except (DamagedError, TypeError, KeyError) as error:
        logger.warning("the model is trained again: %s", error)
        with naming(folder / "model"):
            shutil.rmtree(folder / "model")
        return None
    return log


class _Trainer(SentenceTransformerTrainer):
    """Writes checkpoints without a model card (seconds each) and without pickled arguments.

    Several processes share each batch: together they do what one would do with a batch as large as
    theirs together.
    """

    def get_train_dataloader(self) -> Any:
        """Return the batches, or this process's share of each."""
        if processes.count() == 1:
            return super().get_train_dataloader()
        self.args.dataloader_drop_last = False  # shares may differ in size
        together = self.args.train_batch_size * processes.count()
        whole = self._build_dataloader(self.train_dataset, together, dataset_kind="train")
        shares = Shares(whole.batch_sampler, processes.rank(), processes.count())
        loader = DataLoader(whole.dataset, batch_sampler=shares, collate_fn=whole.collate_fn)
        # To Accelerate this is one process: it would deal out the batches once more.
        return prepare_data_loader(
            loader,
            self.args.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            use_seedable_sampler=True,
            data_seed=self.args.data_seed,
        )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        assert self.model is not None
        self.model.save(output_dir or self.args.output_dir, create_model_card=False)


def _guide_vectors(folder: Path, rows: Rows, config: TrainConfig) -> GuideVectors | None:
    if config.objective not in GUIDED:
        return None
    data = make_dataset(rows, config)
    assert isinstance(data, Dataset), "rows by source are not guided"
    columns = {name: data[name][:] for name in data.column_names if name != LABEL}
    guide = GuideVectors(open_encoder(folder), columns)
    share = 100 * guide.share_left_out(config.guide_margin)
    logger.info("the guide leaves out %.1f%% of the other rows' answers", share)
    return guide


def _callbacks(config: TrainConfig, events: Path) -> list[Any]:
    """Return the callback that seals checkpoints, and TensorBoard's where it is asked for."""
    if config.report_to != "tensorboard":
        return [_Seal()]
    callback = TensorBoardCallback()
    callback.logging_dir = str(events)
    return [_Seal(), callback]


def _arguments(
    fit: _Fit, prompts: Mapping[str, str], progress: bool
) -> SentenceTransformerTrainingArguments:
    import torch

    config = fit.config
    on_gpu = torch.cuda.is_available()
    sampler = BatchSamplers.BATCH_SAMPLER if config.objective in SCORED else NoSharedAnswerSampler
    return SentenceTransformerTrainingArguments(
        output_dir=str(fit.checkpoints),
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
        dataloader_drop_last=processes.count() > 1,  # sentence-transformers insists on it
        bf16=on_gpu and torch.cuda.is_bf16_supported(),
        use_cpu=not on_gpu,
        save_strategy="epoch",
        save_total_limit=2,
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        disable_tqdm=not progress,
        report_to="trackio" if config.report_to == "trackio" else "none",
        project="dotbogi",
        run_name=str(fit.checkpoints.parent),  # the same after a resume, another for each workspace
        trackio_static_space_id=False,  # nothing leaves this machine
        seed=config.seed,
        data_seed=config.seed,
    )


def _last_complete_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that is complete and intact; delete newer ones."""
    while folder.is_dir() and (newest := get_last_checkpoint(str(folder))):
        checkpoint = Path(newest)
        try:
            check_files(checkpoint, _sealed(checkpoint), remedy=_EARLIER)
        except DamagedError as error:
            logger.warning("%s", error)
            with naming(checkpoint):
                shutil.rmtree(checkpoint)
            continue
        return checkpoint
    return None


class _Seal(TrainerCallback):
    """Writes the digests of a checkpoint's files into it when the trainer has written it."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seal the newest checkpoint, to which every process has written."""
        del control, kwargs
        processes.wait_for_all()
        if state.is_world_process_zero:
            self._seal(args, state)
        processes.wait_for_all()

    def _seal(self, args: Any, state: Any) -> None:
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        sync_tree(checkpoint)
        digests = digests_of(checkpoint)
        sealed = {
            "files": digests,
            "digest": digest_of_json(digests),
            "processes": processes.count(),
        }
        replace_file(checkpoint / _SEAL, json.dumps(sealed).encode())


def _sealed(checkpoint: Path) -> dict[str, str]:
    """Return the digests of a checkpoint's files.

    Raises:
        DamagedError: there are none, because the trainer was interrupted; they have changed; or
            another number of processes, which have other steps, made the checkpoint.
    """
    path = checkpoint / _SEAL
    sealed = read_json(path, _EARLIER)
    with reading(path, _EARLIER):
        files: dict[str, str] = sealed["files"]
        if sealed["digest"] != digest_of_json(files):
            raise ValueError("changed")
        if sealed.get("processes", 1) != processes.count():
            raise ValueError("made by another number of processes")
    return files
