"""onnxruntime without telemetry."""

import os
import threading
from typing import Any

_OFF = "ORT_DISABLE_TELEMETRY"
_loading = threading.Lock()


def load_onnxruntime() -> Any:
    """Import onnxruntime without its telemetry; return the module.

    Since 1.30 it starts a reporting thread when it is imported, and reads this variable only then.
    No text may leave the machine, and a forked child would wait for that thread forever.
    """
    with _loading:
        before = os.environ.get(_OFF)
        os.environ[_OFF] = "1"
        try:
            import onnxruntime
        finally:
            if before is None:
                del os.environ[_OFF]
            else:
                os.environ[_OFF] = before
    return onnxruntime
