"""Start a run on a collection or on scored pairs, or resume the last run."""

import contextlib
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection, open_collection, save_collection
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.files import reading, sync, sync_tree, write_json
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.shapes import record
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.indexes.text import same_text_key
from dotbogi.indexes.update import update
from dotbogi.search.encoded import IndexConfig
from dotbogi.search.models import ModelConfig, check_model, copy_model, enter_model
from dotbogi.search.publish import all_texts
from dotbogi.training.config import LoopConfig
from dotbogi.training.fit.objectives import SCORED, check_objective
from dotbogi.training.judgements.decisions import (
    Applied,
    apply_decisions,
    read_decisions,
    save_used_decisions,
)
from dotbogi.training.judgements.feedback import (
    AppliedFeedback,
    apply_feedback,
    read_votes,
    save_feedback,
)
from dotbogi.training.ledger import clear_models, make_resumable, published_by, run_names
from dotbogi.training.negatives import MiningConfig
from dotbogi.training.report import write_report
from dotbogi.training.rounds import RunResult
from dotbogi.training.run import Run
from dotbogi.training.run_files import REMEDY
from dotbogi.training.scored.pairs import ScoredSplit, open_pairs, save_pairs
from dotbogi.training.scored.run import ScoredRun
from dotbogi.training.split import hold_out

FEWEST_QUESTIONS = 10  # with fewer, a fold leaves nothing to train on

logger = logging.getLogger(__name__)


def run_loop(
    workspace: Workspace,
    collection: Collection,
    config: LoopConfig,
    *,
    model: ModelConfig | None = None,
    held_out: Collection | None = None,
    progress: bool = False,
) -> RunResult:
    """Run the loop on a collection, and publish the best model if it is better.

    Every run starts from the base, even after earlier training: a model cannot be measured on
    questions that it has learned.

    Args:
        workspace: created if missing.
        collection: known questions and answers.
        config: settings of the run.
        model: the base; None takes the base of the published model, or the default model.
        held_out: questions about the collection's answers for the final test. The same questions
            in the collection are not trained on.
        progress: show progress bars.

    Raises:
        UsageError: the model or the fit cannot be used, or indexed answers are missing.
        DotbogiError: there are too few questions, or none of `held_out` has a known answer.
        LockedError: another process is writing to the workspace.
    """
    _check_models(config, model)
    with workspace.writing():
        current = workspace.current() if workspace.current_name() else None
        indexed = open_collection(current.folder) if current else None
        if indexed:
            collection = update(collection, indexed).collection
        applied = apply_decisions(collection, read_decisions(workspace.folder))
        voted = _apply_votes(workspace, applied, config)
        split = hold_out(
            voted.collection if voted else applied.collection, config.holdout, seed=config.seed
        )
        if held_out:
            split, held_out = _set_apart(split, held_out)
        _check_enough(split)
        if current and indexed:
            _check_nothing_lost(indexed, collection)
            config = replace(config, index=IndexConfig.published(current))
        config = _with_base(config, model, workspace.current_name(), current)
        with _new_run(workspace) as (staged, folder):
            save_collection(split, staged)
            if held_out:
                (staged / "held-out").mkdir()
                save_collection(held_out, staged / "held-out")
            write_json(staged / "config.json", asdict(config))
            save_used_decisions(applied, split, staged)
            if voted:
                save_feedback(voted, split, staged)
            texts = all_texts(split)
            _save_base(config.model, None if model else current, texts, staged / "base")
            if guide := config.fit.get("guide"):
                enter_model(ModelConfig(name=guide), staged / "guide", texts)
        return _finish(Run(workspace, folder, split, config, progress))


def _with_base(
    config: LoopConfig, model: ModelConfig | None, name: str | None, current: Generation | None
) -> LoopConfig:
    """Return the settings, completed with the base model and the published generation."""
    if model is None and current:
        path = current.folder / "manifest.json"
        with reading(path):
            model = record(ModelConfig, current.manifest["model"])
    return replace(config, model=model or ModelConfig(), started_from=name)


def _save_base(
    model: ModelConfig, current: Generation | None, texts: Sequence[str], folder: Path
) -> None:
    """Copy the published model if its weights are the base's; otherwise prepare the named model."""
    folder.mkdir()
    training = current.manifest["training"] if current else None
    if current and (training is None or training["kind"] == "adapter"):
        copy_model(current.folder, folder)
        return
    check_model(model)
    enter_model(model, folder, texts)


def _set_apart(collection: Collection, held_out: Collection) -> tuple[Collection, Collection]:
    """Return the collection with the held-out questions marked as test, and the held-out questions.

    The latter get the answers of the collection; those without one are left out.

    Raises:
        DotbogiError: none of them has an answer of the collection.
    """
    keys = {same_text_key(question.text) for question in held_out.questions}
    # Marked, not removed: they stay known questions of the published index.
    marked = [
        replace(q, split="test") if same_text_key(q.text) in keys else q
        for q in collection.questions
    ]
    if count := sum(same_text_key(q.text) in keys for q in collection.questions):
        logger.info("%d questions are also in the test table, so they are not trained on", count)
    by_text = {same_text_key(answer.text): answer.id for answer in collection.answers}
    texts = {answer.id: answer.text for answer in held_out.answers}
    asked = [
        replace(question, answer_id=by_text[key], split="test")
        for question in held_out.questions
        if (key := same_text_key(texts[question.answer_id])) in by_text
    ]
    if not asked:
        raise DotbogiError(
            f"none of the test table's {len(held_out.questions)} questions has an answer of the "
            "collection. Expected questions with the same answer texts as in the collection."
        )
    if missing := len(held_out.questions) - len(asked):
        logger.info("%d test questions left out: their answers are not in the collection", missing)
    return replace(collection, questions=marked), replace(
        held_out, answers=collection.answers, questions=asked
    )


def _apply_votes(
    workspace: Workspace, applied: Applied, config: LoopConfig
) -> AppliedFeedback | None:
    if config.votes_per_client is None:
        return None
    votes = read_votes(workspace.folder, applied.collection, config.votes_per_client)
    return apply_feedback(applied.collection, votes, applied.rejected)


def run_similarity(
    workspace: Workspace,
    split: ScoredSplit,
    config: LoopConfig,
    *,
    model: ModelConfig | None = None,
    progress: bool = False,
) -> RunResult:
    """Train on scored pairs, and publish the model over the collection if it is better.

    Args:
        workspace: created if missing; its collection, if it has one, is indexed again.
        split: the pairs with their splits.
        config: settings of the run; only `kind`, `fit`, `seed` and `source` are used.
        model: as in `run_loop`.
        progress: show progress bars.

    Raises:
        UsageError: the model or the fit cannot be used, or there is no collection for an adapter.
        LockedError: another process is writing to the workspace.
    """
    _check_models(config, model)
    with workspace.writing():
        current = workspace.current() if workspace.current_name() else None
        if current is None and config.kind == "adapter":
            raise UsageError(
                f"{workspace.folder}: nothing is indexed here, and an adapter is only published "
                "with a collection. Run dotbogi index TABLE, or train the whole model: --fit full"
            )
        config = _with_base(config, model, workspace.current_name(), current)
        with _new_run(workspace) as (staged, folder):
            save_pairs(split.pairs, staged)
            write_json(staged / "config.json", asdict(config))
            texts = [text for pair in split.only("train") for text in (pair.first, pair.second)]
            _save_base(config.model, None if model else current, texts, staged / "base")
        return ScoredRun(workspace, folder, split.pairs, config, progress).go()


def resume_loop(workspace: Workspace, *, progress: bool = False) -> RunResult:
    """Resume the last run of a workspace at the step it reached.

    Raises:
        UsageError: there is no run, or the last one cannot be resumed.
        DamagedError: a file of the run is missing or has changed.
        LockedError: another process is writing to the workspace.
    """
    runs = run_names(workspace)
    if not runs:
        raise UsageError(f"{workspace.folder}: no run to resume. Start one: dotbogi train")
    with workspace.writing():
        folder = workspace.rounds_folder / runs[-1]
        make_resumable(folder)
        config = _read_config(read_json(folder / "config.json", REMEDY), folder)
        _check_not_overtaken(workspace, config, folder.name)
        check_objective(config.fit, config.kind)
        logger.info("resuming %s", folder.name)
        if config.fit.get("objective") in SCORED:
            return ScoredRun(workspace, folder, open_pairs(folder), config, progress).go()
        return _finish(Run(workspace, folder, open_collection(folder), config, progress))


def _finish(run: Run) -> RunResult:
    result = run.go()
    try:
        write_report(run.folder)
    except Exception as error:  # the model is published anyway
        logger.warning("report not written (%s). Try again: dotbogi report %s", error, result.run)
    return result


@contextlib.contextmanager
def _new_run(workspace: Workspace) -> Iterator[tuple[Path, Path]]:
    """Yield a staging folder and the folder it becomes, so that a run exists whole or not at all.

    Only the last run can be resumed, so the models of earlier runs are deleted.
    """
    last = max((int(name.removeprefix("run-")) for name in run_names(workspace)), default=0)
    folder = workspace.rounds_folder / f"run-{last + 1:04}"
    staged = workspace.rounds_folder / ".starting"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        yield staged, folder
        sync_tree(staged)
        staged.rename(folder)
        sync(workspace.rounds_folder)
        sync(workspace.folder)
        for name in run_names(workspace)[:-1]:
            clear_models(workspace.rounds_folder / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: there are earlier runs
            workspace.rounds_folder.rmdir()


def _check_models(config: LoopConfig, model: ModelConfig | None) -> None:
    """Refuse missing models and a fit that cannot run, before anything is written."""
    check_objective(config.fit, config.kind)
    if model:
        check_model(model)
    if guide := config.fit.get("guide"):
        check_model(ModelConfig(name=guide))


def _check_not_overtaken(workspace: Workspace, config: LoopConfig, run: str) -> None:
    """Refuse to resume a run after another generation has been published."""
    name = workspace.current_name()
    if name != config.started_from and not published_by(workspace, run, config.started_from):
        raise UsageError(
            f"{run} began on generation {config.started_from or 'none'}; {name} has been published "
            "since, and resuming would undo it. Start another run: dotbogi train"
        )


def check_run(collection: Collection, config: LoopConfig, model: ModelConfig | None) -> None:
    """Raise what `run_loop` would raise about its arguments, before anything is written.

    Raises:
        UsageError: the model or the fit cannot be used.
        DotbogiError: there are too few questions.
    """
    _check_models(config, model)
    _check_enough(hold_out(collection, config.holdout, seed=config.seed))


def _check_enough(split: Collection) -> None:
    counts = Counter(question.split for question in split.questions)
    if counts["train"] < FEWEST_QUESTIONS or len(split.answers) < 2:
        raise DotbogiError(
            f"the table has {counts['train']} questions for {len(split.answers)} answers"
            f"{f' (and {held} held out)' if (held := counts['test']) else ''}: too few to train "
            f"and measure on. Expected 2 answers and {FEWEST_QUESTIONS} questions, better 100."
        )


def _check_nothing_lost(indexed: Collection, collection: Collection) -> None:
    """Refuse a collection that lacks answers of the published index."""
    lost = {answer.id for answer in indexed.answers} - {answer.id for answer in collection.answers}
    if lost:
        raise UsageError(
            f"the table lacks {len(lost)} of the {len(indexed.answers)} answers that are indexed. "
            "Train without a table, or index this one first: dotbogi index TABLE"
        )


def _read_config(stored: Mapping[str, Any], folder: Path) -> LoopConfig:
    try:
        return LoopConfig(
            **{
                **stored,
                "mining": MiningConfig(**stored["mining"]),
                "model": ModelConfig(**stored["model"]),
                "index": IndexConfig(**stored["index"]),
            }
        )
    except (TypeError, KeyError) as error:
        raise UsageError(
            f"{folder}: another version of dotbogi began this run. Start another: dotbogi train"
        ) from error
