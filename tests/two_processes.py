"""Fits by one process and by two, as a program: everything is imported once, and then forked.

The two have the environment that torchrun gives to its processes.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

BATCH, EPOCHS, ROWS = 8, 4, 35  # two batches of 16 rows, and one of 3, which two share unequally


def finetune_alone(place: Path, objective: str, folder: Path, batch: int) -> None:
    from dotbogi.training.fit.config import TrainConfig, TrainingRow
    from dotbogi.training.fit.full import finetune

    name = objective.removesuffix("-symmetric")
    syllables = [chr(0xAC00 + 7 * number) for number in range(3 * ROWS)]
    texts = ["".join(syllables[i : i + 3]) for i in range(0, 3 * ROWS, 3)]
    rows = [
        TrainingRow(f"{text} 언제", f"{text} 내일 {number}", (f"{text} 아님",))
        for number, text in enumerate(texts)
    ]
    if name == "cosine":
        rows = [
            TrainingRow(f"{text} 언제", f"{text[: 1 + number % 3]} 내일", score=number / len(texts))
            for number, text in enumerate(texts)
        ]
    config = TrainConfig(
        epochs=EPOCHS, batch_size=batch, learning_rate=0.005, temperature=0.1, mini_batch_size=3,
        objective=name, symmetric=name != objective, guide_margin=-0.1 if "gist" in name else 0.0,
    )  # type: ignore[arg-type]  # fmt: skip
    finetune(place / "model", rows, config, folder)


def forked(act: Callable[[], None], **environment: str) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ.update(environment, TORCHELASTIC_RUN_ID="a test")
        act()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for(*children: int) -> None:
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0


def losses(folder: Path) -> list[float]:
    log = json.loads((folder / "log.json").read_text())["log"]
    return [entry["loss"] for entry in log if "loss" in entry]


def both(place: Path, objective: str, folder: Path) -> tuple[list[float], list[float]]:
    """Return the loss of each epoch by one process, and by two with half the batch each."""
    from dotbogi.training.fit import processes
    from dotbogi.training.fit.full import follow

    wait_for(forked(lambda: finetune_alone(place, objective, folder / "one", 2 * BATCH)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}

    def lead() -> None:
        with processes.leading():
            finetune_alone(place, objective, folder / "two", BATCH)

    wait_for(
        forked(lead, RANK="0", LOCAL_RANK="0", **shared),
        forked(follow, RANK="1", LOCAL_RANK="1", **shared),
    )
    return losses(folder / "one"), losses(folder / "two")


def main(model: str, out: str, *objectives: str) -> None:
    import dotbogi.training.fit.full  # noqa: F401
    from dotbogi.search import ModelConfig
    from dotbogi.search.models import enter_model

    place = Path(out)

    def enter() -> None:
        enter_model(ModelConfig(name=model), place, ["언제", "내일"])

    wait_for(forked(enter))
    found = {objective: both(place, objective, place / objective) for objective in objectives}
    (place / "losses.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
