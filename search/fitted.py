"""What is fitted on labelled queries: the fusion weights and the confidence."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dotbogi.indexes.files import reading, write_json
from dotbogi.search.calibration import DEFAULT
from dotbogi.search.confidence import Calibration
from dotbogi.search.fusion import FusionWeights

_WEIGHTS = FusionWeights()


@dataclass(frozen=True, slots=True)
class Fitted:
    """Fusion weights and the confidence that goes with them; the defaults suit any collection."""

    weights: FusionWeights = _WEIGHTS
    calibration: Calibration = DEFAULT

    def save(self, folder: Path) -> None:
        """Write fusion.json and calibration.json into a staged generation."""
        write_json(folder / "fusion.json", asdict(self.weights))
        self.calibration.save(folder)

    @classmethod
    def open(cls, folder: Path) -> "Fitted":
        """Read what `save` wrote."""
        path = folder / "fusion.json"
        with reading(path):
            weights = FusionWeights(**json.loads(path.read_text(encoding="utf-8")))
        return cls(weights, Calibration.open(folder))
