"""How many processor cores this process may use."""

import os


def cores() -> int:
    """Return the number of cores; OMP_NUM_THREADS may lower it."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return min(int(asked), available) if asked.isdecimal() and int(asked) else available
