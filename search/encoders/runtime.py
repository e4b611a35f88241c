"""onnxruntime, silent."""

import os
import threading
from typing import Any

_OFF = "ORT_DISABLE_TELEMETRY"
_loading = threading.Lock()


def load_onnxruntime() -> Any:
    """Import onnxruntime without its telemetry; return the module.

    Since 1.30 it starts a thread at import that reports to its makers, and reads this variable
    then alone. Nothing that is searched may leave the machine; and a process that forks would
    never end, because its child waits for that thread.
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
