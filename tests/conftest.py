"""What tests share: small generated images, a small trained model, and real data where it is present."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# JAX compiles every operation anew for every shape: without this, its compiler takes twice the time of all else.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import hypothesis
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

# For JAX each example costs seconds, of compiling.
EXAMPLES = 5 if os.environ.get("KERAS_BACKEND") == "jax" else 40
hypothesis.settings.register_profile("default", deadline=None, max_examples=EXAMPLES, print_blob=True)
hypothesis.settings.load_profile("default")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets; tests that need them are skipped where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    return SHARED


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Any:
    """Return what is made in a folder, by the first of the processes that run tests; the others find it there.

    Args:
        factory: of temporary folders.
        name: of the folder.
        make: from the folder to what can be pickled.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    kept = shared / f"{name}.pickle"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            folder = shared / name
            folder.mkdir()
            kept.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(kept.read_bytes())


def draw_shape(kind: str, seed: int, size: tuple[int, int] = (20, 24)) -> Image.Image:
    """Draw a disc or a cross of random colour and place, on a dark background."""
    dice = random.Random(f"{kind}{seed}")
    height, width = size
    picture = Image.new("RGB", (width, height), tuple(dice.randrange(60) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    ink = tuple(dice.randrange(140, 256) for _ in range(3))
    x, y = dice.randrange(6, width - 6), dice.randrange(6, height - 6)
    if kind == "disc":
        pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=ink)
    else:
        pen.line((x - 5, y, x + 5, y), fill=ink, width=2)
        pen.line((x, y - 5, x, y + 5), fill=ink, width=2)
    return picture


def make_folder(root: Path, count: int = 24, parts: tuple[str, ...] = ("",)) -> Path:
    """Write a folder per class with images of several formats, modes and sizes."""
    kinds = ["a.png", "b.jpg", "c.gif", "d.bmp", "e.webp", "grey.png", "palette.png", "rgba.png", "16bit.png"]
    for part in parts:
        for kind in ("cross", "disc"):
            folder = root / part / kind
            folder.mkdir(parents=True)
            for number in range(count):
                name = kinds[number % len(kinds)]
                picture = draw_shape(kind, number + 1000 * len(part), (20 + number % 3, 24 + number % 5))
                _save(picture, folder / f"{number:03d}-{name}")
    return root


def _save(picture: Image.Image, path: Path) -> None:
    if "grey" in path.name:
        picture = picture.convert("L")
    elif "palette" in path.name:
        picture = picture.quantize(32)
    elif "rgba" in path.name:
        picture = picture.convert("RGBA")
    elif "16bit" in path.name:
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    picture.save(path)


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
        return classification.train("shapes", root=root, reporter=quiet, data=str(shapes), epochs=25, image_size=16)

    return made_once(tmp_path_factory, "classifiers", make)


@pytest.fixture
def models(trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of saved models, made the one that names are looked up in."""
    root = trained.path.parent.parent
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root))
    return root


def draw_scene(seed: int, size: tuple[int, int] = (56, 72)) -> tuple[Image.Image, list[tuple[int, tuple[int, ...]]]]:
    """Draw discs (class 1) and crosses (class 0) that do not touch; return them with their boxes."""
    dice = random.Random(seed)
    height, width = size
    picture = Image.new("RGB", (width, height), tuple(dice.randrange(60) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    found: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(30):
        half = dice.randrange(5, 9)
        x, y = dice.randrange(half, width - half), dice.randrange(half, height - half)
        box = (x - half, y - half, x + half + 1, y + half + 1)
        if len(found) == 3 or any(
            box[0] < b[2] + 2 and b[0] < box[2] + 2 and box[1] < b[3] + 2 and b[1] < box[3] + 2 for _, b in found
        ):
            continue
        kind = dice.randrange(2)
        ink = tuple(dice.randrange(140, 256) for _ in range(3))
        if kind:
            pen.ellipse((box[0], box[1], box[2] - 1, box[3] - 1), fill=ink)
        else:
            pen.line((x - half, y, x + half, y), fill=ink, width=3)
            pen.line((x, y - half, x, y + half), fill=ink, width=3)
        found.append((kind, box))
    return picture, found


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
        return detection.train("scattered", root=root, reporter=quiet, data=str(scattered), epochs=20, batch_size=8)

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
        return segmentation.train("painted", root=root, reporter=quiet, data=str(painted), epochs=15, batch_size=8)

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
    from cnnapp.cli import main

    monkeypatch.chdir(tmp_path)
    for console in (main.out, main.err):
        monkeypatch.setattr(console, "width", 300)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cnnapp", *map(str, arguments)])
        try:
            main.main()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


class RunningService:
    """A service in a process of its own: `cnnapp serve`, on a port that is free."""

    def __init__(self, log: Path, *arguments: object) -> None:
        command = [sys.executable, "-m", "cnnapp.cli.main", "serve", "--port", "0", *map(str, arguments)]
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        self.url = ""

    def wait(self, seconds: float = 420.0) -> str:
        """Return the URL, once requests are taken."""
        until = time.monotonic() + seconds
        while "try it" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)
        self.url = self.log.read_text().split("listening on ")[1].split()[0]
        return self.url

    def stop(self) -> int:
        """Stop it as an operator does; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def running_service(log: Path, *arguments: object) -> Iterator[RunningService]:
    """Start a service; end it by its own process's number, whatever happens."""
    service = RunningService(log, *arguments)
    try:
        service.wait()
        yield service
    finally:
        if service.process.poll() is None:
            try:
                service.stop()
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait(10)
