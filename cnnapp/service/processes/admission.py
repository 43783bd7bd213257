"""Models looked through before their processes are started, in a process of its own, while Ray starts.

Each model's process looks for itself before it loads. What is refused there reaches the user only after Ray has started
it three times, and with Ray's tracebacks.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipelines.core.errors import CnnAppError, ModelError

__all__ = ["looked_through"]

_REFUSED = 3


@contextlib.contextmanager
def looked_through(directories: Sequence[Path]) -> Iterator[Callable[[], None]]:
    """Look through saved models in another process, which has TensorFlow and goes again.

    Args:
        directories: of the saved models.

    Yields:
        A function that waits until all are looked through, and raises ``ModelError`` if one is refused.
    """
    command = [
        sys.executable,
        "-m",
        "cnnapp.service.processes.admission",
        *(str(path.resolve()) for path in directories),
    ]
    paths = os.pathsep.join(dict.fromkeys(os.path.abspath(path) for path in sys.path))
    environment = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:

        def wait() -> None:
            said = process.communicate()[0].strip()
            if process.returncode:
                raise ModelError(said or "the models could not be looked through before they are served")

        try:
            yield wait
        finally:
            if process.poll() is None:
                process.kill()


def _main(directories: list[str]) -> int:
    from pipelines.artifacts.trust.policy import admit_saved_model
    from pipelines.core.tensorflow_import import import_tensorflow

    try:
        os.nice(10)  # Ray, which starts meanwhile, gives up where it gets no time
        import_tensorflow()
        for directory in directories:
            admit_saved_model(Path(directory))
    except CnnAppError as error:
        print(error)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
