"""Crews whose work goes wrong, each in its own way; run as a program, it prints how that ends."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.search.cluster.crew import Crew, Work


@dataclass(frozen=True)
class Recipe:
    how: str
    fingerprint: str = "a test"

    def open(self) -> Work:
        def work(asked: Any) -> list[str]:
            if self.how == "another machine" and asked == "probe":
                return ["other values"]
            if self.how == "ends the worker" and asked != "probe":
                os._exit(1)
            if self.how == "fails" and asked != "probe":
                raise DamagedError("the model cannot be read.")
            return [f"value of {asked}"]

        return work


if __name__ == "__main__":
    for how in ("another machine", "ends the worker", "fails", "nothing"):
        recipe = Recipe(how)
        with (
            tempfile.TemporaryDirectory() as folder,
            Crew(recipe, Path(folder), "probe", ["value of probe"]) as crew,
        ):
            try:
                print(how, "→", crew.do([["a"], ["b"]], ["a", "b"]))
            except DotbogiError as error:
                print(how, "→", type(error).__name__, error)
