"""Import TensorFlow without its start-up log, which tells a user nothing and looks like errors."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from pipelines.core import device_choice

__all__ = ["hushed", "import_tensorflow"]

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # of TensorFlow: 0 shows all, 3 errors alone
# Written by C++ before any Python could ask it not to; TF_CPP_MIN_LOG_LEVEL does not reach these lines.
_CHATTER = re.compile(rb"absl::InitializeLog|oneDNN custom operations|Could not find cuda drivers|cpu_feature_guard")


def import_tensorflow() -> ModuleType:
    """Import TensorFlow, with the devices of ``CNNAPP_DEVICE``, and without its start-up log unless that is asked for.

    Raises:
        ConfigError: if the device that was chosen is not there.
    """
    os.environ.setdefault(_LOG_LEVEL, "3")
    tensorflow = sys.modules.get("tensorflow") or _import()
    device_choice.apply(tensorflow)
    return tensorflow


def _import() -> ModuleType:
    """Import it; what it writes to standard error meanwhile is passed on, less the chatter."""
    if _verbose():
        import tensorflow

        return tensorflow  # type: ignore[no-any-return]
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _CHATTER.search(line):
                    os.write(2, line)
    module: ModuleType = tensorflow
    return module


def _verbose() -> bool:
    return os.environ.get(_LOG_LEVEL) == "0"


@contextmanager
def hushed() -> Iterator[None]:
    """Silence C++ log output on standard error; what it says of an error is in the exception."""
    if _verbose():
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
