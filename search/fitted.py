"""What is fitted on labelled queries: the fusion weights and the confidence."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dotbogi.indexes.files import reading, write_json
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.shapes import record
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
            weights = record(FusionWeights, read_json(path))
            if not np.isfinite(weights.vector()).all() or weights.vector().min() < 0:
                raise ValueError("weights that are no shares")
        return cls(weights, Calibration.open(folder))
