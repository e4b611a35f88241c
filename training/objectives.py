"""What a fit can be trained for: which models can, what each needs, and the loss it becomes."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import UsageError
from search.encoders import is_static, is_untrained, read_modules
from search.models import SCRATCH
from training.fit import ModelKind, TrainConfig

if TYPE_CHECKING:
    from training.guided import GuideVectors

CACHED = ("cached-mnr", "cached-gist")
GUIDED = ("gist", "cached-gist")
SCORED = ("cosine",)

_BELONGS_TO = {"guide": GUIDED, "guide_margin": GUIDED, "mini_batch_size": CACHED}


def check_objective(fit: Mapping[str, Any], kind: ModelKind | None) -> None:
    """Refuse, before any work, a fit that cannot run.

    Args:
        fit: the settings that differ from the defaults.
        kind: of the model; None where it is not known yet.

    Raises:
        UsageError: the model cannot run the objective, a setting belongs to another objective, or
            a package is missing.
    """
    objective = fit.get("objective", "mnr")
    for name, objectives in _BELONGS_TO.items():
        if fit.get(name) is not None and objective not in objectives:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{option} belongs to --objective {' or '.join(objectives)}, not to {objective}."
            )
    if fit.get("symmetric") and objective in SCORED:
        raise UsageError(f"--symmetric does not apply to --objective {objective}: leave it out.")
    reporter = fit.get("report_to")
    if reporter and importlib.util.find_spec(reporter) is None:
        raise UsageError(f"--report-to {reporter}: not installed. Run: pip install {reporter}")
    if kind in ("static", "scratch") and objective in CACHED:
        raise UsageError(
            f"--objective {objective}: a static model keeps a batch as one run of tokens, which "
            "cannot be cut into mini-batches, and has no activations that would fill the memory. "
            f"Use --objective {objective.removeprefix('cached-')}; any --batch-size fits."
        )
    if kind == "scratch" and objective in GUIDED and not fit.get("guide"):
        raise UsageError(
            f"--objective {objective}: a scratch model knows too little to guide itself. "
            "Name a guide: --guide starter"
        )


def model_kind(folder: Path, name: str) -> ModelKind:
    """Return the kind of the model in a folder; one without modules.json is a transformer.

    Args:
        folder: of the model; need not be there for `scratch`, which is made later.
        name: as `--model` has it.
    """
    if not (folder / "modules.json").is_file():
        return "scratch" if name == SCRATCH else "transformer"
    if not is_static(read_modules(folder)):
        return "transformer"
    return "scratch" if is_untrained(folder) else "static"


def make_loss(model: Any, config: TrainConfig, guide: "GuideVectors | None") -> Any:
    """Return the loss module of an objective.

    Args:
        model: a SentenceTransformer.
        config: settings of the fit.
        guide: for the guided objectives.
    """
    from sentence_transformers.sentence_transformer import losses

    from training.guided import CachedGuidedLoss, GuidedLoss

    scale = 1 / config.temperature
    if config.objective == "cosine":
        return losses.CoSENTLoss(model, scale=scale)
    if guide is not None:
        settings: dict[str, Any] = {
            "temperature": config.temperature,
            "margin": config.guide_margin,
            "symmetric": config.symmetric,
        }
        if config.objective == "cached-gist":
            size = config.mini_batch_size
            return CachedGuidedLoss(model, guide, mini_batch_size=size, **settings)
        return GuidedLoss(model, guide, **settings)
    both = ("query_to_doc", "doc_to_query")
    ranking: dict[str, Any] = {
        "scale": scale,
        "directions": both if config.symmetric else both[:1],
        "partition_mode": "per_direction" if config.symmetric else "joint",
    }
    if config.objective == "cached-mnr":
        return losses.CachedMultipleNegativesRankingLoss(
            model, mini_batch_size=config.mini_batch_size, **ranking
        )
    return losses.MultipleNegativesRankingLoss(model, **ranking)
