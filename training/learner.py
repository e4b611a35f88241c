"""What a run learns in each round: without each fold in turn, and from all questions."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Collection
from dotbogi.indexes.cores import cores
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.views import owners_of_questions
from dotbogi.search.encoded import EncodedCollection
from dotbogi.search.encoders import CachedEncoder, export_encoder, open_encoder
from dotbogi.search.geometry import Geometry
from dotbogi.search.known_questions import balanced_folds
from dotbogi.search.publish import all_texts
from dotbogi.training.config import LoopConfig
from dotbogi.training.fit.adapter import (
    AdapterConfig,
    adapter_config,
    learn_adapter,
    one_thread,
)
from dotbogi.training.fit.config import fit_config
from dotbogi.training.fit.merge import merge_models
from dotbogi.training.fit.rows import hard_negatives, training_rows
from dotbogi.training.judgements.decisions import Pair
from dotbogi.training.ledger import Ledger, Mined, Trained
from dotbogi.training.negatives import Mined as MinedNegatives
from dotbogi.training.negatives import Negative, describe_yields, mine
from dotbogi.training.negatives.files import open_negatives, save_negatives
from dotbogi.training.negatives.known import KnownTexts
from dotbogi.training.rounds import seconds_since
from dotbogi.training.run_folders import encoder_folder, open_geometry, round_folder
from dotbogi.training.split import division, held_back

logger = logging.getLogger(__name__)


class Learner:
    """Trains the models of one run; a step that is in the ledger is not repeated."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        collection: Collection,
        config: LoopConfig,
        ledger: Ledger,
        *,
        rejected: Sequence[Pair],
        voted: Sequence[Pair],
        progress: bool,
    ) -> None:
        """Set up the training of a run.

        Args:
            workspace: its cache is used.
            folder: the run's folder.
            collection: its questions have splits.
            config: settings of the run.
            ledger: the run's ledger.
            rejected: (question, answer id) pairs that a review rejected.
            voted: (question, answer id) pairs that users' votes call wrong.
            progress: show progress bars.
        """
        self._workspace, self._folder, self._config = workspace, folder, config
        self._collection, self._ledger, self._progress = collection, ledger, progress
        self._wrong = {"rejected": rejected, "voted": voted}
        self.train = collection.only(["train"])
        count = division(config.folds)
        self.fold_of_question = balanced_folds(self.train.questions, count, config.seed)
        self._encoded_by: dict[tuple[Path, int | None], EncodedCollection] = {}
        self._query_tokens: dict[str, list[str]] = {}

    def mine(self, number: int, best: int) -> None:
        """Mine for all questions with the best round so far, for the review and the refit."""
        self._mine(number, None, best)

    def state(self, number: int, fold: int | None) -> tuple[EncodedCollection, Geometry]:
        """Return the train side without a fold, encoded by a round's model, and its geometry."""
        encoded = self._encoded(encoder_folder(self._folder, number, fold), fold)
        return encoded, open_geometry(round_folder(self._folder, number, fold), encoded)

    def _encoded(self, folder: Path, fold: int | None) -> EncodedCollection:
        """Return the train side without a fold, encoded once by the model in a folder."""
        if (folder, fold) not in self._encoded_by:
            if fold is None:
                cache = Cache(self._workspace.cache_folder)
                encoder = CachedEncoder(open_encoder(folder, progress=self._progress), cache)
                encoded = EncodedCollection.of(self.train, encoder, self._config.index, cache)
            else:
                kept = [own != fold for own in self.fold_of_question]
                encoded = self._encoded(folder, None).with_questions(kept)
            self._encoded_by[folder, fold] = encoded
        return self._encoded_by[folder, fold]

    def _mine(self, number: int, fold: int | None, best: int) -> list[Negative]:
        """Return a round's negatives for the questions outside a fold."""
        if fold is not None and not self._learns_from_mined(number):
            return []
        path = self._negatives_path(number, fold)
        if self._ledger.find(Mined, round=number, fold=fold):
            return open_negatives(path)
        began = time.monotonic()
        mined = self._mined(number, fold, best)
        negatives = list(mined.all())
        path.parent.mkdir(parents=True, exist_ok=True)
        save_negatives(negatives, path)
        if fold is None:
            save_negatives(mined.suspects, self._folder / f"suspects-{number}.parquet")
            logger.info("round %d: %s", number, describe_yields(mined.counts))
        self._ledger.add(
            Mined(
                round=number,
                fold=fold,
                yields=mined.counts,
                suspects=len(mined.suspects),
                seconds=seconds_since(began),
            )
        )
        return negatives

    def _confirmed(self, number: int) -> list[Negative]:
        """Return the negatives that people have confirmed, for rounds that learn from no others."""
        mined = open_negatives(self._negatives_path(number, None))
        return [negative for negative in mined if negative.source in ("review", "feedback")]

    def _learns_from_mined(self, number: int) -> bool:
        return number >= self._config.hard_from and any(self._config.mining.quotas.values())

    def _negatives_path(self, number: int, fold: int | None) -> Path:
        if fold is None:
            return self._folder / f"negatives-{number}.parquet"
        return round_folder(self._folder, number, fold) / "negatives.parquet"

    def _mined(self, number: int, fold: int | None, best: int) -> MinedNegatives:
        encoded, geometry = self.state(best, fold)
        if not self._query_tokens:
            questions = [question.text for question in self.train.questions]
            tokens = self._config.index.open_analyzer().tokenize_queries(questions)
            self._query_tokens = dict(zip(questions, tokens, strict=True))
        texts = KnownTexts(encoded, geometry, self._query_tokens)
        kept = [own != fold for own in self.fold_of_question]
        return mine(
            held_back(self._collection, self.train, kept),
            texts,
            texts,
            replace(self._config.mining, seed=self._config.seed + number),
            rejected=self._wrong["rejected"],
            voted=self._wrong["voted"],
        )

    def fit(self, number: int, folds: Sequence[int | None], best: int) -> None:
        """Train the adapters or the models of a round, each without one of the folds."""
        left = [f for f in folds if not self._ledger.find(Trained, round=number, fold=f)]
        fit = self._fit_adapters if self._config.kind == "adapter" else self._fit_models
        for trained in fit(number, left, best):
            self._ledger.add(trained)
            fold = trained.fold
            part = "all questions" if fold is None else f"without fold {fold + 1}"
            logger.info("round %d, %s: trained on %d pairs", number, part, trained.rows)

    def _negatives(self, number: int, fold: int | None, best: int) -> list[Negative]:
        """Return what a round learns from beside the pairs."""
        if self._learns_from_mined(number):
            return self._mine(number, fold, best)
        if self._config.kind == "adapter":  # a full fit needs the same number for every pair
            return self._confirmed(number)
        return []

    def _fit_adapters(
        self, number: int, folds: Sequence[int | None], best: int
    ) -> Iterator[Trained]:
        """Train adapters side by side, one on each core; they always start from the base."""
        settings = adapter_config(self._config.fit, self._config.seed)
        negatives = [self._negatives(number, fold, best) for fold in folds]
        encoded = [self._encoded(self._folder / "base", fold) for fold in folds]
        with one_thread(), ThreadPoolExecutor(cores()) as pool:
            fits = pool.map(partial(_adapt, settings), encoded, negatives)
            for fold, fit in zip(folds, fits, strict=True):
                folder = round_folder(self._folder, number, fold)
                folder.mkdir(parents=True, exist_ok=True)
                fit.geometry.save(folder)
                yield Trained(
                    round=number, fold=fold, kind="adapter", settings=asdict(settings),
                    rows=fit.rows, negatives=fit.negatives, log=fit.log, seconds=fit.seconds,
                )  # fmt: skip

    def _fit_models(self, number: int, folds: Sequence[int | None], best: int) -> Iterator[Trained]:
        """Train models one after another: each fit takes all cores."""
        for fold in folds:
            yield self._fit_model(number, fold, best)

    def _fit_model(self, number: int, fold: int | None, best: int) -> Trained:
        """Train all weights, starting from the base or from the best round so far."""
        from dotbogi.training.fit.full import finetune  # imports torch: seconds

        negatives = self._negatives(number, fold, best)
        began = time.monotonic()
        settings = fit_config(self._config.fit)
        start = best if self._config.start_from == "last" else 0
        rows = training_rows(self._encoded(self._folder / "base", fold).collection, negatives)
        folder = round_folder(self._folder, number, fold)
        folder.mkdir(parents=True, exist_ok=True)
        log = finetune(
            encoder_folder(self._folder, start, fold) / "model",
            rows,
            settings,
            folder / "tuned",
            events=self._folder / "tensorboard" / folder.relative_to(self._folder),
            guide=self._folder / "guide" if settings.guide else None,
            progress=self._progress,
        )
        return Trained(
            round=number, fold=fold, kind="full", settings=asdict(settings), rows=len(rows),
            negatives=len(rows[0].negatives), log=log, seconds=seconds_since(began),
        )  # fmt: skip

    def merge(self, number: int, fold: int | None, share: float) -> None:
        """Merge a round's tuned weights with the base's, and train an adapter on the result.

        Args:
            number: number of the round, a full fit.
            fold: the fold that was left out of training; None for a fit on all questions.
            share: weight of the tuned weights, 0 to 1.
        """
        folder = round_folder(self._folder, number, fold)
        self._encoded_by.pop((folder, fold), None)
        self._encoded_by.pop((folder, None), None)
        for name in ("model", "encoder"):
            shutil.rmtree(folder / name, ignore_errors=True)
        base = self._folder / "base" / "model"
        merge_models(base, folder / "tuned" / "model", share, folder / "model")
        collection = self._encoded(self._folder / "base", fold).collection
        staged = folder / ".encoder"
        shutil.rmtree(staged, ignore_errors=True)
        export_encoder(folder / "model", staged, all_texts(collection))
        staged.rename(folder / "encoder")
        adapted = _adapt(AdapterConfig(seed=self._config.seed), self._encoded(folder, fold), [])
        adapted.geometry.save(folder)


@dataclass(frozen=True, slots=True)
class _Adapted:
    """What a fit of an adapter gives."""

    geometry: Geometry
    log: list[dict[str, float]]
    rows: int  # pairs
    negatives: int  # of each pair
    seconds: float


def _adapt(
    settings: AdapterConfig, encoded: EncodedCollection, negatives: Sequence[Negative]
) -> _Adapted:
    """Train an adapter on the known questions of a collection."""
    began = time.monotonic()
    means = encoded.geometry()
    rows = hard_negatives(encoded.collection, negatives)
    adapter, log = learn_adapter(
        means.queries(encoded.question_vectors),
        np.asarray(owners_of_questions(encoded.collection), np.int64),
        means.answers(encoded.answer_vectors),
        config=settings,
        negatives=rows if rows.shape[1] else None,
    )
    geometry = replace(means, adapter=adapter)
    return _Adapted(geometry, log, len(rows), rows.shape[1], seconds_since(began))
