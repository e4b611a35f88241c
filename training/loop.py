"""The loop: check and split a collection, then run its rounds, from the start or from a cut."""

import contextlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from indexes.collection import Collection, open_collection, save_collection
from indexes.errors import DotbogiError, UsageError
from indexes.store import Generation, Workspace, write_json
from indexes.text import same_text_key
from search.encoded import IndexConfig
from search.geometry import Geometry
from search.index import question_digest, read_trained_on
from search.models import ModelConfig, check_model, copy_model, enter_model
from search.publish import all_texts
from training.config import LoopConfig
from training.fit.objectives import SCORED, check_objective
from training.judgements.decisions import (
    REVIEW_FILE,
    Applied,
    apply_decisions,
    read_decisions,
    review_counts,
)
from training.judgements.feedback import AppliedFeedback, apply_feedback, read_votes, save_feedback
from training.ledger import Ledger, clear_models, published_by, run_names
from training.negatives import MiningConfig
from training.report import write_report
from training.run import LoopResult, Run
from training.scored.pairs import ScoredSplit, open_pairs, save_pairs
from training.scored.run import SimilarityResult, SimilarityRun, is_seen
from training.split import split_collection

MOST_SEEN = 0.1  # of the held-out questions or pairs that a starting model may have trained on

logger = logging.getLogger(__name__)


def run_loop(
    workspace: Workspace,
    collection: Collection,
    config: LoopConfig,
    *,
    model: ModelConfig | None = None,
    progress: bool = False,
) -> LoopResult:
    """Run the loop on a collection and publish the best model's generation, if one is better.

    Args:
        workspace: made if need be.
        collection: known questions and answers; split here.
        config: settings of the run.
        model: what to start from; None starts from the published model, or from the default
            model where nothing is published yet.
        progress: show bars.

    Raises:
        DotbogiError: there are too few questions to split.
        LockedError: another process is writing to the workspace.
    """
    _check_models(config, model)
    with workspace.writing():
        current = workspace.current() if workspace.current_name() else None
        indexed = open_collection(current.folder) if current else None
        if indexed:
            collection = _with_users_part(collection, indexed)
        applied = apply_decisions(collection, read_decisions(workspace.folder))
        voted = _apply_votes(workspace, applied, config)
        split = split_collection(
            voted.collection if voted else applied.collection, seed=config.seed
        )
        _check_enough(split)
        if current and indexed:
            _check_nothing_lost(indexed, collection)
            config = replace(config, index=IndexConfig(**current.manifest["index"]))
        published = current if model is None else None
        if published:
            model = ModelConfig(**published.manifest["model"])
        before = read_trained_on(published.folder) if published else frozenset()
        _check_unseen(split, before, published, config)
        config = replace(
            config, model=model or ModelConfig(), started_from=workspace.current_name()
        )
        with _new_run(workspace) as (staged, folder):
            save_collection(split, staged)
            write_json(staged / "config.json", asdict(config))
            write_json(
                staged / REVIEW_FILE,
                {"counts": review_counts(applied, split), "rejected": applied.rejected},
            )
            if voted:
                save_feedback(voted, split, staged)
            texts = all_texts(split)
            save_base(published, texts, config.model, staged / "base")
            if guide := config.fit.get("guide"):
                enter_model(ModelConfig(name=guide), staged / "guide", texts)
            write_json(staged / "trained.json", sorted(before))
        return _finish(Run(workspace, folder, split, config, progress))


def _with_users_part(collection: Collection, indexed: Collection) -> Collection:
    """Add what users have said, and is searched now: no table has it."""
    answer_ids = {answer.id for answer in collection.answers}
    by_key = {(same_text_key(q.text), q.answer_id): q for q in indexed.questions}
    questions = []
    for question in collection.questions:
        before = by_key.get((same_text_key(question.text), question.answer_id))
        if before:
            question = replace(question, preferred=before.preferred, opposed=before.opposed)
        questions.append(question)
    known = {(same_text_key(q.text), q.answer_id) for q in questions}
    users = [
        question
        for key, question in by_key.items()
        if question.origin == "feedback" and question.answer_id in answer_ids and key not in known
    ]
    return replace(collection, questions=[*questions, *users])


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
) -> SimilarityResult:
    """Train on scored pairs, and publish the model over the collection if it is better.

    Args:
        workspace: made if need be; its collection, if it has one, is indexed anew.
        split: the pairs.
        config: settings of the run; of the loop's, `fit`, `seed` and `source` count.
        model: as in `run_loop`.
        progress: show bars.
    """
    _check_models(config, model)
    with workspace.writing():
        current = workspace.current() if workspace.current_name() else None
        if current is None and config.kind == "adapter":
            raise UsageError(
                f"{workspace.folder}: an adapter is published with a collection, and none is "
                "indexed here. Run dotbogi index TABLE first, or train the whole model: --fit full"
            )
        published = current if model is None else None
        if published:
            model = ModelConfig(**published.manifest["model"])
        before = read_trained_on(published.folder) if published else frozenset()
        held_out = [pair for name in ("dev", "test") for pair in split.only(name)]
        seen = sum(is_seen(pair, before) for pair in held_out)
        if seen > MOST_SEEN * len(held_out):
            raise UsageError(
                f"the published model has trained on texts of {seen} of the {len(held_out)} pairs "
                "kept for choosing and testing. Start anew with --model starter."
            )
        config = replace(
            config, model=model or ModelConfig(), started_from=workspace.current_name()
        )
        with _new_run(workspace) as (staged, folder):
            save_pairs(split.pairs, staged)
            write_json(staged / "config.json", asdict(config))
            texts = [text for pair in split.only("train") for text in (pair.first, pair.second)]
            save_base(published, texts, config.model, staged / "base")
            write_json(staged / "trained.json", sorted(before))
        return SimilarityRun(workspace, folder, split.pairs, config, progress).go()


def resume_loop(workspace: Workspace, *, progress: bool = False) -> LoopResult | SimilarityResult:
    """Go on with the last run of a workspace, from the step it reached.

    Raises:
        UsageError: there is no run, or the last one has ended.
    """
    runs = run_names(workspace)
    if not runs:
        raise UsageError(f"{workspace.folder}: no run to resume. Start one: dotbogi train")
    with workspace.writing():
        folder = workspace.rounds_folder / runs[-1]
        if Ledger(folder).get("ended"):
            raise UsageError(f"{folder}: this run has ended. Start another: dotbogi train")
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = _config_from(stored, folder)
        _check_not_overtaken(workspace, config, folder.name)
        check_objective(config.fit, config.kind)
        logger.info("resuming %s", folder.name)
        if config.fit.get("objective") in SCORED:
            return SimilarityRun(workspace, folder, open_pairs(folder), config, progress).go()
        return _finish(Run(workspace, folder, open_collection(folder), config, progress))


def _finish(run: Run) -> LoopResult:
    result = run.go()
    try:
        write_report(run.folder)
    except Exception as error:  # what was trained is published all the same
        logger.warning("no report (%s). Write it again: dotbogi report %s", error, result.run)
    return result


@contextlib.contextmanager
def _new_run(workspace: Workspace) -> Iterator[tuple[Path, Path]]:
    """Give a folder to fill and the name it gets; a run is there whole, or not at all.

    Only the last run can be resumed: with another one, those before keep no models.
    """
    last = max((int(name.removeprefix("run-")) for name in run_names(workspace)), default=0)
    folder = workspace.rounds_folder / f"run-{last + 1:04}"
    staged = workspace.rounds_folder / ".starting"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        yield staged, folder
        staged.rename(folder)
        for name in run_names(workspace)[:-1]:
            clear_models(workspace.rounds_folder / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: earlier runs stay
            workspace.rounds_folder.rmdir()


def _check_models(config: LoopConfig, model: ModelConfig | None) -> None:
    """Refuse, before anything is written, models that are not there and a fit that cannot run."""
    check_objective(config.fit, config.kind)
    if model:
        check_model(model)
    if guide := config.fit.get("guide"):
        check_model(ModelConfig(name=guide))


def _check_not_overtaken(workspace: Workspace, config: LoopConfig, run: str) -> None:
    """Refuse to publish an old collection over one that was indexed after the run began."""
    name = workspace.current_name()
    if name != config.started_from and not published_by(workspace, run, config.started_from):
        raise UsageError(
            f"{run} began on generation {config.started_from or 'none'}; {name} has been published "
            "since, and resuming would undo it. Start another run: dotbogi train"
        )


def _check_enough(split: Collection) -> None:
    counts = Counter(question.split for question in split.questions)
    few = [name for name in ("train", "dev", "test") if counts[name] < 2]
    if few or len(split.answers) < 2:
        raise DotbogiError(
            f"the table has {len(split.questions)} questions for {len(split.answers)} answers: "
            f"too few to train, tune and test on (train {counts['train']}, dev {counts['dev']}, "
            f"test {counts['test']}). Expected at least about 30 questions."
        )


def _check_nothing_lost(indexed: Collection, collection: Collection) -> None:
    """Refuse to publish, by training, a collection without answers that are indexed now."""
    lost = {answer.id for answer in indexed.answers} - {answer.id for answer in collection.answers}
    if lost:
        raise UsageError(
            f"the table lacks {len(lost)} of the {len(indexed.answers)} answers that are indexed. "
            "Train without a table, or index this one first: dotbogi index TABLE"
        )


def _check_unseen(
    split: Collection, trained: frozenset[str], published: Generation | None, config: LoopConfig
) -> None:
    """Refuse to choose and test a model on what it has trained on.

    A few such questions (texts of scored pairs, say) are left out of the measuring by the run.
    """
    held_out = split.only(["dev", "test"]).questions
    seen = sum(question_digest(question.text) in trained for question in held_out)
    if seen <= MOST_SEEN * len(held_out):
        return
    assert published is not None
    training = published.manifest["training"]
    hint = f"Use --seed {training['seed']}, or" if training["seed"] != config.seed else "To go on:"
    raise UsageError(
        f"the published model has trained on {seen} of the {len(held_out)} questions that seed "
        f"{config.seed} keeps for choosing and testing. {hint} start anew with --model starter."
    )


def save_base(
    published: Generation | None, texts: Sequence[str], model: ModelConfig, place: Path
) -> None:
    """Fill the place of the model that a run starts from: a published one, or one that enters."""
    place.mkdir()
    if published is None:
        enter_model(model, place, texts)
        return
    copy_model(published.folder, place)
    if published.manifest["training"]:
        Geometry.open(published.folder).save(place)


def _config_from(stored: Mapping[str, Any], folder: Path) -> LoopConfig:
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
            f"{folder}: this run was begun by another version. Start another: dotbogi train"
        ) from error
