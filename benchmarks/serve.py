"""Speed of the service over the predictor it runs: requests for one digit each, by 1 client and by 16 at once.

The service runs in processes of its own and is asked by HTTP with base64, keep-alive and one connection a client; the
predictor is called in this process with the same bytes, by as many threads. Both take their turn in every round; the
figure is the median over rounds of ratios within a round.

    python benchmarks/serve.py
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import project_first  # noqa: F401
import requests

import cnnapp
from pipelines.artifacts.golden import read_golden

CLIENTS = (1, 16)


def start(*models: str) -> tuple[subprocess.Popen, str, float]:
    """Start a service of some models; return its process, its URL and how long it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "cnnapp", "serve", *models, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening on "):
            return process, line.split()[-1], time.perf_counter() - started
    raise SystemExit("the service did not start")


def latencies(call: Callable[[], None], clients: int, count: int) -> tuple[float, np.ndarray]:
    """Return calls a second of some clients at once, and the seconds of every call."""
    seconds = np.empty((clients, count))
    gate = threading.Barrier(clients)

    def client(number: int) -> None:
        gate.wait()
        for turn in range(count):
            started = time.perf_counter()
            call()
            seconds[number, turn] = time.perf_counter() - started

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return seconds.size / (time.perf_counter() - started), seconds.ravel()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="digits", help="name or path of a saved model (default: digits)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of timing (default: 7)")
    parser.add_argument("--requests", type=int, default=192, help="requests in a round (default: 192)")
    arguments = parser.parse_args()
    predictor = cnnapp.load(arguments.model)
    data = read_golden(predictor.served.directory).inputs[0]
    body = json.dumps({"instances": [{"b64": base64.b64encode(data).decode()}]})
    process, url, startup = start(arguments.model)
    local = threading.local()

    def ask() -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        answer = local.session.post(f"{url}/v1/models/{predictor.card.name}:predict", data=body)
        answer.raise_for_status()

    def call() -> None:
        predictor.predict([data])

    try:
        print(f"{predictor!r}: the service was ready after {startup:.1f} s\n")
        print(
            "| clients | service, requests/s | ms, median and 95th percentile | predictor, calls/s | service over it |"
        )
        print("|---|---|---|---|---|")
        for clients in CLIENTS:
            count = max(1, arguments.requests // clients)
            rounds = [[latencies(one, clients, count) for one in (ask, call)] for _ in range(arguments.rounds + 1)][1:]
            rates = np.array([[rate for rate, _ in one] for one in rounds])
            times = np.concatenate([asked[1] for asked, _ in rounds]) * 1e3
            middle, most = np.percentile(times, (50, 95))
            asked, called = np.median(rates, axis=0)
            ratio = np.median(rates[:, 0] / rates[:, 1])
            print(f"| {clients} | {asked:.0f} | {middle:.1f}, {most:.1f} | {called:.0f} | {ratio:.2f} |")
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
