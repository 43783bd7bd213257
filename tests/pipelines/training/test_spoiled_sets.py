"""Training on a set with images that cannot be used: refused before the first step, or done without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.core.errors import DataError
from pipelines.training import loop, recipe
from places import ROOT
from small_sets import MADE, files_of, spoil, task_of

OPTIONS: dict[str, dict[str, Any]] = {
    "classification": {"image_size": 16},
    "detection": {"batch_size": 2},
    "segmentation": {"batch_size": 2},
    "regression": {},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNAPP_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", MADE)
def test_no_step_is_taken_and_all_are_named(name: str, tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch):
    root = MADE[name](tmp_path / "set")
    bad = spoil(name, root)
    task = task_of(name)
    for late in ("choose", "prepare", "build"):
        monkeypatch.setattr(type(task), late, None)
    monkeypatch.setattr(loop.Loop, "train", lambda self, count: pytest.fail("a step was taken"))
    options = OPTIONS[name] | {"data": str(root), "epochs": 1, "log_dir": tmp_path / "run"}
    with pytest.raises(DataError) as raised:
        recipe.train(task, "x", root=tmp_path / "models", reporter=quiet, **options)
    assert all(str(path) in str(raised.value) for path in bad)
    assert not list((tmp_path / "models").rglob("*.json"))
    with pytest.raises(DataError):
        recipe.estimate(task, reporter=quiet, **options)


@pytest.mark.parametrize(
    "name", ["classification", *(pytest.param(one, marks=pytest.mark.slow) for one in MADE if one != "classification")]
)
def test_without_them_it_is_trained_and_resumed_and_the_card_lists_them(
    name: str, tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch
):
    root, task = MADE[name](tmp_path / "set"), task_of(name)
    bad = spoil(name, root)
    options = OPTIONS[name] | {"data": str(root), "epochs": 2, "skip_bad_images": True, "log_dir": tmp_path / "run"}
    evaluate, calls = loop.Loop.evaluate, []

    def killed(self: loop.Loop) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return evaluate(self)

    monkeypatch.setattr(loop.Loop, "evaluate", killed)
    with pytest.raises(ZeroDivisionError):
        recipe.train(task, "x", root=tmp_path / "models", reporter=quiet, **options)
    trained = recipe.train(task, "x", root=tmp_path / "models", reporter=quiet, resume=True, **options)
    assert len(trained.history.epochs) == 2
    data = trained.card.data
    assert data["skipped"]["count"] == len(bad)
    ids = {one["image"] for one in data["skipped"]["images"]}
    assert len(ids) == len(bad)
    assert all(any(path.as_posix().endswith(one) for one in ids) for path in bad)
    assert trained.card.metrics["test"]["images"] == data["images"]["test"]
    assert trained.card.training["skip_bad_images"] is True
    assert str(tmp_path) not in json.dumps(data)


def test_a_run_of_other_images_is_not_resumed(tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch):
    """The hash of the set says which images were left out."""
    root = MADE["classification"](tmp_path / "set")
    seen: list[Any] = []

    def fit(*arguments: Any, **named: Any) -> Any:
        seen.append(named["identity"]["data"])
        raise RuntimeError("enough")

    monkeypatch.setattr(loop, "fit", fit)
    for path in files_of("classification", root)["test"][:2]:
        content = path.read_bytes()
        path.write_bytes(bytes(len(content)))
        with pytest.raises(RuntimeError, match="enough"):
            recipe.train(
                task_of("classification"),
                "x",
                root=tmp_path,
                reporter=quiet,
                data=str(root),
                skip_bad_images=True,
                log_dir=tmp_path / "run",
                **OPTIONS["classification"],
            )
        path.write_bytes(content)
    assert len(set(seen)) == 2


MEASURED = """
import resource, sys
from pathlib import Path
from pipelines.core.progress import Reporter
from pipelines.data import proof
from pipelines.images.decoding import decoded_size
from pipelines.tasks.registry import find_task
task = find_task("classification")
splits = task.load(task.config.parse(data=sys.argv[1]))
first = next(splits.train.examples())
decoded_size(first.image, "first")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
proof.proven(splits, task, Reporter(quiet=True))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_memory_does_not_grow_with_the_number_of_large_images(kind: str, tmp_path: Path):
    """40 images of 36 MB each, decoded."""
    dice = np.random.default_rng(0)
    tile = dice.integers(0, 256, (300, 400, 3), np.uint8)
    for number in range(40):
        folder = tmp_path / "set" / ("a", "b")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.tile(np.roll(tile, number, 0), (10, 10, 1)))
        picture.save(folder / f"{number}.{kind}", **({"compress_level": 1} if kind == "png" else {}))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "set"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"CNNAPP_CACHE": str(tmp_path / "cache")},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 600  # MiB; all of them at once are 1,440
