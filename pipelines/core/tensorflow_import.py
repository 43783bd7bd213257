"""Import TensorFlow without its start-up chatter, which tells a user nothing and looks like errors."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["hushed", "import_tensorflow"]

# Written by C++ before any Python could ask it not to; TF_CPP_MIN_LOG_LEVEL does not reach these lines.
_CHATTER = re.compile(rb"absl::InitializeLog|oneDNN custom operations|Could not find cuda drivers|cpu_feature_guard")


def import_tensorflow() -> ModuleType:
    """Import TensorFlow; what it writes to standard error meanwhile is passed on, less the chatter."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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


@contextmanager
def hushed() -> Iterator[None]:
    """Silence C++ log output on standard error; what it says of an error is in the exception."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
