"""How long a cold `dotbogi query` takes, beside `import sentence_transformers` on the same machine.

Runs both five times in turn, in fresh processes, and prints the medians and their ratio.

    python benchmarks/cold_start.py
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 5


def seconds(*arguments: str) -> float:
    """Return the wall-clock seconds of a fresh Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = str(Path(folder) / "w")
        seconds("cli.py", "index", "-w", workspace)
        commands = {
            "cli.py query": ("cli.py", "query", "배고프다", "-w", workspace),
            "import sentence_transformers": ("-c", "import sentence_transformers"),
            "cli.py --help": ("cli.py", "--help"),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(seconds(*command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:30} median {medians[name]:.2f} s of {min(values):.2f} to {max(values):.2f}")
    ratio = medians["cli.py query"] / medians["import sentence_transformers"]
    print(f"query / import sentence_transformers = {ratio:.2f}")


if __name__ == "__main__":
    main()
