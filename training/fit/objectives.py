"""Training objectives: the settings that each allows, and its loss."""

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dotbogi.indexes.errors import UsageError
from dotbogi.training.fit.config import FitKind, TrainConfig

if TYPE_CHECKING:
    from dotbogi.training.fit.guided import GuideVectors

CACHED = ("cached-mnr", "cached-gist")
GUIDED = ("gist", "cached-gist")
SCORED = ("cosine",)

_BELONGS_TO = {"guide": GUIDED, "guide_margin": GUIDED, "mini_batch_size": CACHED}


def check_objective(fit: Mapping[str, Any], kind: FitKind) -> None:
    """Refuse a fit that cannot run, before any work.

    Args:
        fit: the settings that differ from the defaults.
        kind: what is trained.

    Raises:
        UsageError: a setting belongs to another objective or kind of fit, or a package is
            missing.
    """
    objective = fit.get("objective", "mnr")
    for name, objectives in _BELONGS_TO.items():
        if fit.get(name) is not None and objective not in objectives:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{option} needs --objective {' or '.join(objectives)}, not {objective}."
            )
    if fit.get("symmetric") and objective in SCORED:
        raise UsageError(f"--symmetric does not apply to --objective {objective}: leave it out.")
    if kind == "adapter":
        for name in (*_BELONGS_TO, "symmetric", "report_to"):
            if fit.get(name) is not None:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} needs --fit full: an adapter has no such setting.")
        if objective not in ("mnr", *SCORED):
            raise UsageError(
                f"--objective {objective} needs --fit full: an adapter supports mnr and cosine."
            )
    reporter = fit.get("report_to")
    if reporter and importlib.util.find_spec(reporter) is None:
        raise UsageError(f"--report-to {reporter}: not installed. Run: pip install {reporter}")


def default_kind(fit: Mapping[str, Any]) -> FitKind:
    """Return the default kind: full on a GPU or if the objective needs it, else adapter.

    Args:
        fit: the settings that differ from the defaults.
    """
    if fit.get("objective", "mnr") in (*CACHED, *GUIDED):
        return "full"
    import torch

    return "full" if torch.cuda.is_available() else "adapter"


def make_loss(model: Any, config: TrainConfig, guide: "GuideVectors | None") -> Any:
    """Return the loss module of an objective.

    Args:
        model: a SentenceTransformer.
        config: settings of the fit.
        guide: for the guided objectives.
    """
    from dotbogi.training.fit.gathered import (
        GatheredCachedMNRLoss,
        GatheredCoSENTLoss,
        GatheredMNRLoss,
    )
    from dotbogi.training.fit.guided import CachedGuidedLoss, GuidedLoss

    scale = 1 / config.temperature
    if config.objective == "cosine":
        return GatheredCoSENTLoss(model, scale=scale)
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
        return GatheredCachedMNRLoss(model, mini_batch_size=config.mini_batch_size, **ranking)
    return GatheredMNRLoss(model, **ranking)
