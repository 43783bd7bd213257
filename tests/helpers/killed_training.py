"""Small real trainings in processes of their own, killed at random moments, and what came of them.

Run as a program, this file trains: it says "ready" when everything is imported, so that moments are counted from there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from places import ROOT

NAME = "model"
_PATIENCE = 3600.0
_TIMES = ("seconds",)


@dataclass(frozen=True)
class Outcome:
    """What must be the same bits, whatever happened on the way.

    Args:
        weights: SHA-256 of the variables of the saved model.
        golden: SHA-256 of the answers that it was exported with.
        card: its card as text, without hashes, times and versions.
    """

    weights: str
    golden: str
    card: str


@dataclass
class Killer:
    """Trains, and kills what it trains.

    Args:
        task: name of the task.
        folder: where runs and models are; is made.
        options: of the training, as plain values.
        seed: of the moments.

    Attributes:
        kills: how many there were.
        inside: how many of them between the first state and the export.
    """

    task: str
    folder: Path
    options: dict[str, Any]
    seed: int = 0
    kills: int = 0
    inside: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"{self.task}{self.seed}")
        self.folder.mkdir(parents=True, exist_ok=True)

    def undisturbed(self) -> tuple[Outcome, float]:
        """Train without a kill; return what came of it, and the seconds from "ready" on."""
        started = self._start("whole")
        before = time.monotonic()
        self._wait(started, None)
        return self._outcome("whole"), time.monotonic() - before

    def killed(self, kills: int, seconds: float, *, with_state: bool = False) -> list[Outcome]:
        """Train and kill until there were so many kills; every training goes on until it ends.

        Args:
            kills: at least this many.
            seconds: how long a training takes; each process is killed at a moment up to there, or not at all if it
                ends before.
            with_state: kill soon after the first state was written instead, so that there is something to lose.

        Returns:
            What came of each training.
        """
        outcomes: list[Outcome] = []
        while self.kills < kills:
            run = f"killed{len(outcomes)}"
            while True:
                process = self._start(run)
                moment = self.dice.uniform(0, seconds / 10 if with_state else seconds) if self.kills < kills else None
                if with_state and moment is not None:
                    self._await_state(run, process)
                if not self._wait(process, moment):
                    break
                self.kills += 1
                self.inside += self._has_state(run) and not self._exported(run)
            outcomes.append(self._outcome(run))
        return outcomes

    # === Processes ===

    def _start(self, run: str) -> subprocess.Popen[str]:
        options = self.options | {"log_dir": str(self.folder / run / "log"), "resume": self._has_state(run)}
        request = json.dumps({"task": self.task, "root": str(self.folder / run / "models"), "options": options})
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), request],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise AssertionError(process.communicate()[1][-3000:])
        return process

    def _wait(self, process: subprocess.Popen[str], seconds: float | None) -> bool:
        """Wait for its end, or kill it after some seconds and say so."""
        try:
            _, said = process.communicate(timeout=_PATIENCE if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            process.kill()  # SIGKILL: nothing is written or closed any more
            process.communicate()
            if seconds is None:
                raise
            return True
        assert process.returncode == 0, said[-3000:]
        return False

    def _await_state(self, run: str, process: subprocess.Popen[str]) -> None:
        while not self._has_state(run) and process.poll() is None:
            time.sleep(0.01)

    # === What is left ===

    def _has_state(self, run: str) -> bool:
        return any((self.folder / run / "log").glob("state*"))

    def _exported(self, run: str) -> bool:
        return any((self.folder / run / "models" / NAME).glob("[0-9]*"))

    def _outcome(self, run: str) -> Outcome:
        outcome = outcome_of(self.folder / run / "models" / NAME)
        shutil.rmtree(self.folder / run)
        return outcome


def outcome_of(model: Path) -> Outcome:
    """Return what came of a training.

    Args:
        model: folder of the versions of the saved model, of which the newest counts.
    """
    version = max(model.glob("[0-9]*"), key=lambda path: int(path.name))
    card = json.loads((version / "model_card.json").read_text())
    hashes = card["files"]
    return Outcome(hashes["variables/variables.data-00000-of-00001"], hashes["golden/expected.json"], _timeless(card))


def _timeless(card: dict[str, Any]) -> str:
    """Return the parts of a card that tell how training went and what was measured, as text."""
    parts = {name: card[name] for name in ("input", "training", "history", "data", "metrics")}
    parts["history"] = {name: value for name, value in parts["history"].items() if name not in _TIMES}
    return json.dumps(parts, indent=1, sort_keys=True)


def options_of(task: str, data: Path, **further: Any) -> dict[str, Any]:
    """Return the options of a training of a few seconds, bit-identical, with states as often as can be had."""
    from pipelines.tasks.registry import find_task

    options: dict[str, Any] = {"data": str(data), "deterministic": True, "epochs": 3, "batch_size": 7} | further
    if "checkpoint_minutes" in find_task(task).config.model_fields:
        options["checkpoint_minutes"] = 0.001
    return options


def _train(request: dict[str, Any]) -> None:
    from pipelines.core.progress import Reporter
    from pipelines.tasks.registry import find_task
    from pipelines.training import recipe

    print("ready", flush=True)
    recipe.train(
        find_task(request["task"]), NAME, root=request["root"], reporter=Reporter(quiet=True), **request["options"]
    )


if __name__ == "__main__":
    _train(json.loads(sys.argv[1]))
