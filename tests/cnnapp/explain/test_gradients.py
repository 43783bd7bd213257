"""Derivatives asked for by several threads at once, as by a page that several people click on."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from cnnapp.explain import evidence
from cnnapp.explain.gradients import ONE_AT_A_TIME
from pipelines.artifacts.golden import read_golden
from places import ROOT

# In a process of its own: what it guards against ends the process, without an error to catch.
SCRIPT = """
from concurrent.futures import ThreadPoolExecutor

import cnnapp
from cnnapp.explain.decisions import decide
from pipelines.artifacts.golden import read_golden

model = cnnapp.load("{directory}")
shown = model.inside.shown(read_golden(model.served.directory).inputs[0])
layer = model.inside.layers[-1]


def look(number):
    x, y = number * 7 % shown.size[1] + 0.5, number * 11 % shown.size[0] + 0.5
    unit = model.inside.unit(shown, layer, model.inside.nearest(shown, layer, x, y))
    return float(unit.sight.influence.sum()), decide(model.inside, shown, x, y).score


alone = [look(number) for number in range(4)]
with ThreadPoolExecutor(4) as pool:
    together = list(pool.map(look, [number % 4 for number in range(24)]))
assert all(abs(a - b) < 1e-3 * abs(b) for i, found in enumerate(together) for a, b in zip(found, alone[i % 4]))
print("all answered")
"""


@pytest.mark.slow
def test_many_threads_may_look_inside_at_once():
    script = SCRIPT.format(directory=ROOT / "saved_models" / "digit-scenes" / "1")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout.strip() == "all answered", f"exit status {done.returncode}: {done.stderr[-2000:]}"


@pytest.mark.parametrize(("how", "alone"), [("Grad-CAM of conv", True), ("class activation map of conv", False)])
def test_only_evidence_from_derivatives_waits_for_its_turn(how: str, alone: bool):
    held = []

    def run(signature: str, **inputs):
        held.append(ONE_AT_A_TIME.locked())
        found = {"region": np.array([0.0, 0, 8, 8]), "class_id": 0, "score": 0.5, "evidence": np.zeros((1, 1))}
        return {name: tf.constant(value) for name, value in found.items()}

    card = SimpleNamespace(classes=["one"], input={}, evidence=how, task="classification", training={})
    served = SimpleNamespace(has=lambda name: True, card=card, run=run)
    data = read_golden(ROOT / "saved_models" / "digits" / "1").inputs[0]
    assert evidence.explain(served, data, None, "a.png").how == how  # type: ignore[arg-type]
    assert held == [alone]
    assert not ONE_AT_A_TIME.locked()
