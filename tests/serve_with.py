"""`dotbogi serve` with settings that have no option, so that tests need not wait for deadlines.

python tests/serve_with.py WORKSPACE '{"head_seconds": 1}'
"""

import json
import logging
import os
import sys

from dotbogi.search.service import Settings, read_keys, serve


def started(url: str, generation: str) -> None:
    sys.stdout.write(json.dumps({"url": url, "generation": generation}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    keys = read_keys(None, os.environ.get("DOTBOGI_KEYS"))
    settings = Settings(keys=keys, **json.loads(sys.argv[2]))
    serve(sys.argv[1], "127.0.0.1", 0, settings, started)
