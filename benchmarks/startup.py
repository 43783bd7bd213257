"""Claim: ``cnnapp --help`` answers within a quarter of the time of ``python -c "import tensorflow"``.

Peer: the interpreter importing TensorFlow, in turn with ours, five times each. Prints the medians and their ratio.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

OURS = [sys.executable, "-m", "cnnapp", "--help"]
PEER = [sys.executable, "-c", "import tensorflow"]


def seconds(command: list[str]) -> float:
    """Return how long a process takes from start to end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {"cnnapp --help": [], "import tensorflow": []}
    for _ in range(6):
        times["cnnapp --help"].append(seconds(OURS))
        times["import tensorflow"].append(seconds(PEER))
    ours, peer = (statistics.median(values[1:]) for values in times.values())
    print(f"cnnapp --help {ours:.2f} s, import tensorflow {peer:.2f} s: ratio {ours / peer:.2f} (claim: at most 0.25)")


if __name__ == "__main__":
    main()
