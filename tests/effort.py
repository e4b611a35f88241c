"""How many cases a test tries: few in `make test`, all that are promised in `make soak`."""

import os

SOAK = os.environ.get("DOTBOGI_SOAK") == "1"


def effort(short: int, long: int) -> int:
    """Return the number of cases: `long` in a soak, else `short`."""
    return long if SOAK else short
