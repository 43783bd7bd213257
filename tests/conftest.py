"""What tests share: small generated images, a small trained model, and real data where it is present."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# JAX compiles every operation anew for every shape: without this, its compiler takes twice the time of all else.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import hypothesis
import numpy as np
import pytest
from PIL import Image

from drawings import draw_scene, make_folder
from long_tests import LIST, LONG
from made_once import made_once
from places import SHARED
from profiles import examples

# There the contract of layers runs alone, which is short; and each example costs seconds, of compiling.
ON_JAX = os.environ.get("KERAS_BACKEND") == "jax"
EXAMPLES = examples(5 if ON_JAX else 40)
hypothesis.settings.register_profile("cnnapp", deadline=None, max_examples=EXAMPLES, print_blob=True)
hypothesis.settings.load_profile("cnnapp")


# What a test asks for says what it is.
MARKED = {"shared_data": "data", "browser": "browser", "service": "service"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures; put files that wait for servers first, lest one be left over at the end."""
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        # By their functions: which cases there are may depend on what is installed and on the data.
        there = {item.nodeid.partition("[")[0] for item in items}
        unknown = {name.partition("[")[0] for name in LONG} - there
        if unknown:
            raise pytest.UsageError(f"{LIST.name} names tests that there are not: {', '.join(sorted(unknown))}")
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKED:
                item.add_marker(MARKED[fixture])
        if item.nodeid in LONG and not ON_JAX:
            item.add_marker("slow")
    if "PYTEST_XDIST_WORKER" in os.environ:  # alone, a process takes tests as it is told
        waiting = {item.path for item in items for name in ("browser", "service") if item.get_closest_marker(name)}
        items.sort(key=lambda item: item.path not in waiting)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests remember out of the user's cache, also in the processes that they start."""
    before = os.environ.get("CNNAPP_CACHE")
    os.environ["CNNAPP_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["CNNAPP_CACHE"]
    else:
        os.environ["CNNAPP_CACHE"] = before


@pytest.fixture(scope="module", autouse=True)
def settled() -> None:
    """Spare the garbage collector what is there when a file begins: TensorFlow, and all that files before this made.

    To look through half a million objects, as TensorFlow and Keras alone are, takes a fifth of a second. It is done
    whenever many new ones were made, by Keras whenever its session is cleared, and by the page after each of its runs.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets; tests that need them are skipped where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class, "cross" and "disc", with images of every format."""
    return make_folder(tmp_path_factory.mktemp("data") / "shapes", count=60)


@pytest.fixture(scope="session")
def quiet():
    """A reporter that says nothing."""
    from pipelines.core.progress import Reporter

    return Reporter(quiet=True)


@pytest.fixture(scope="session")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory, quiet):
    """A classifier of the shapes, trained in seconds."""
    from pipelines import classification

    def make(root: Path) -> Any:
        return classification.train("shapes", root=root, reporter=quiet, data=str(shapes), epochs=15, image_size=16)

    return made_once(tmp_path_factory, "classifiers", make)


@pytest.fixture
def models(trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of saved models, made the one that names are looked up in."""
    root = trained.path.parent.parent
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root))
    return root


@pytest.fixture(scope="session")
def scattered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of discs and crosses with boxes, in YOLO's format."""
    root = tmp_path_factory.mktemp("data") / "scattered"
    first = 0
    for part, count in (("train", 160), ("val", 24), ("test", 24)):
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True)
        for number in range(first, first + count):
            picture, found = draw_scene(number)
            picture.save(root / "images" / part / f"{number}.png")
            lines = [
                f"{kind} {(a + c) / 2 / picture.width} {(b + d) / 2 / picture.height} "
                f"{(c - a) / picture.width} {(d - b) / picture.height}"
                for kind, (a, b, c, d) in found
            ]
            (root / "labels" / part / f"{number}.txt").write_text("\n".join(lines))
        first += count
    (root / "data.yaml").write_text("train: images/train\nval: images/val\ntest: images/test\nnames: [cross, disc]\n")
    return root


@pytest.fixture(scope="session")
def detector(scattered: Path, tmp_path_factory: pytest.TempPathFactory, quiet):
    """A detector of discs and crosses, trained in seconds."""
    from pipelines import detection

    def make(root: Path) -> Any:
        return detection.train("scattered", root=root, reporter=quiet, data=str(scattered), epochs=8, batch_size=8)

    return made_once(tmp_path_factory, "detectors", make)


@pytest.fixture
def detectors(detector, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of saved detectors, made the one that names are looked up in."""
    root = detector.path.parent.parent
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root))
    return root


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of discs and crosses with a mask each."""
    root = tmp_path_factory.mktemp("data") / "painted"
    first = 0
    for part, count in (("train", 96), ("val", 16), ("test", 16)):
        for kind in ("images", "masks"):
            (root / part / kind).mkdir(parents=True)
        for number in range(first, first + count):
            picture, found = draw_scene(number, (37, 50))
            mask = np.zeros((37, 50), np.uint8)
            bright = np.asarray(picture.convert("L")) > 100
            for kind, (left, top, right, bottom) in found:
                mask[top:bottom, left:right][bright[top:bottom, left:right]] = kind + 1
            picture.save(root / part / "images" / f"{number}.png")
            Image.fromarray(mask).save(root / part / "masks" / f"{number}.png")
        first += count
    (root / "classes.txt").write_text("background\ncross\ndisc\n")
    return root


@pytest.fixture(scope="session")
def segmenter(painted: Path, tmp_path_factory: pytest.TempPathFactory, quiet):
    """A network that paints discs and crosses, trained in seconds."""
    from pipelines import segmentation

    def make(root: Path) -> Any:
        return segmentation.train("painted", root=root, reporter=quiet, data=str(painted), epochs=6, batch_size=8)

    return made_once(tmp_path_factory, "segmenters", make)


@pytest.fixture
def segmenters(segmenter, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of saved segmentation networks, made the one that names are looked up in."""
    root = segmenter.path.parent.parent
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root))
    return root


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command line in a folder of its own; gives exit status, output and errors."""
    from cnnapp.cli import console
    from cnnapp.cli.main import main

    monkeypatch.chdir(tmp_path)
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 300)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cnnapp", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
