"""SIGKILL at random moments of real trainings: what is resumed ends with the very bits of what was never killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from killed_training import Killer, options_of

RUNS = {
    "classification": ("shapes", {"image_size": 16, "augment": "strong"}),
    "detection": ("scattered", {"conv": "low-rank", "batch_size": 24}),
    "segmentation": ("painted", {"filters": 4, "depth": 2, "crop": 32}),
}
"""The data of each task, and what makes a training of it small."""


@pytest.mark.parametrize("task", RUNS)
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_training_ends_with_the_same_bits(
    task: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest
):
    source, further = RUNS[task]
    options = options_of(task, request.getfixturevalue(source), **further)
    killer = Killer(task, tmp_path, options, seed=kills)
    expected, seconds = killer.undisturbed()
    found = killer.killed(kills, seconds, with_state=kills == 1)
    assert killer.kills >= kills
    assert found == [expected] * len(found)
    print(f"{task}: {killer.kills} kills, {killer.inside} of them between the first state and the export")
