"""Spoil files at random, and see that everything which reads files from outside takes them or refuses them in words.

From the folder of the project::

    make fuzz                                                     # ten minutes for each reader
    python tests/tools/fuzz.py --seconds 20 --only "manifest" --json fuzz.json

Each reader runs in a process of its own, with bounds of memory and of time for an input. What is neither taken nor a
``CnnAppError`` is a find: a traceback, the end of the process, too long, or an altered record that is believed. Finds
are kept as files in ``artifacts/fuzz``, each with what was said of it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from pipelines.core.errors import CnnAppError  # noqa: E402
from sets_of_formats import READERS, Reader  # noqa: E402

__all__ = ["Target", "main", "spoil", "targets"]

_MEMORY = 12 * 2**30
_SECONDS_AN_INPUT = 30
_PATIENCE = 600
_TOKENS = (
    b"[" * 2000,
    b"{",
    b"NaN",
    b"-1",
    b"1e999",
    b"9" * 400,
    b'"\\ud800"',
    b"\x00",
    b"null",
    b"../",
    b"\xff\xfe",
    b"<!ENTITY",
)
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Target:
    """Something that reads bytes from outside.

    Args:
        name: as ``--only`` takes it.
        seeds: from an empty folder to good inputs.
        run: reads one, in a folder that it may use; it raises ``CnnAppError`` for what it refuses.
        sealed: whether anything that differs from a seed has to be refused.
    """

    name: str
    seeds: Callable[[Path], list[bytes]]
    run: Callable[[bytes, Path], None]
    sealed: bool = False


def spoil(data: bytes, dice: np.random.Generator, others: Sequence[bytes]) -> bytes:
    """Change some bytes of a file.

    Args:
        data: the file.
        dice: where chance comes from.
        others: files that pieces are taken from.

    Example:
        >>> spoil(b"abc", np.random.default_rng(0), [b"xyz"]) == spoil(b"abc", np.random.default_rng(0), [b"xyz"])
        True
    """
    found = bytearray(data)
    for _ in range(int(dice.integers(1, 6))):
        at = int(dice.integers(0, len(found) + 1))
        length = int(dice.integers(1, max(2, min(64, len(found)))))
        match int(dice.integers(0, 8)):
            case 0 if found:
                found[at % len(found)] ^= 1 << int(dice.integers(0, 8))
            case 1:
                found[at : at + 1] = bytes([int(dice.integers(0, 256))])
            case 2:
                width = int(dice.choice([1, 2, 4]))
                number = int(dice.choice(_NUMBERS)) % (1 << 8 * width)
                found[at : at + width] = number.to_bytes(width, "big" if dice.random() < 0.5 else "little")
            case 3:
                del found[at : at + length]
            case 4:
                found[at:at] = found[at : at + length]
            case 5:
                found[at:at] = _TOKENS[int(dice.integers(0, len(_TOKENS)))]
            case 6:
                other = others[int(dice.integers(0, len(others)))]
                start = int(dice.integers(0, max(1, len(other))))
                found[at : at + length] = other[start : start + length]
            case _ if dice.random() < 0.3:
                del found[at:]
    return bytes(found)


def _pictures(folder: Path) -> list[bytes]:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8))
    found = []
    for form, mode in (
        ("PNG", "RGB"), ("PNG", "P"), ("PNG", "I;16"), ("PNG", "LA"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("GIF", "P"),
        ("BMP", "RGB"), ("BMP", "P"), ("WEBP", "RGB"), ("TIFF", "RGB"), ("TIFF", "I;16"), ("PPM", "RGB"),
        ("TGA", "RGB"), ("ICO", "RGBA"), ("JPEG2000", "RGB"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        one = (
            Image.fromarray(np.arange(480, dtype=np.uint16).reshape(20, 24))
            if mode == "I;16"
            else picture.convert(mode)
        )
        with contextlib.suppress(OSError):  # a Pillow without this format
            one.save(buffer, form, **({"progressive": True} if form == "JPEG" else {}))
            found.append(buffer.getvalue())
    return found


def _take_picture(data: bytes, folder: Path) -> None:
    from pipelines.images import decoding, image_io

    read = image_io.read(data, "image")
    decoding.decode(read, "image")
    image_io.open_rgb(data, max_side=64, name="image")


def _archives(folder: Path) -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for number, picture in enumerate(_pictures(folder)[:3]):
                archive.writestr(f"class/{number}.png", picture)
        found.append(buffer.getvalue())
    return found


def _take_archive(data: bytes, folder: Path) -> None:
    from cnnapp.prediction.uploads import unpack

    unpack("upload.zip", data)


def _of_reader(reader: Reader) -> Target:
    def seeds(folder: Path) -> list[bytes]:
        return [(reader.make(folder / "set") / reader.file).read_bytes()]

    def run(data: bytes, folder: Path) -> None:
        where = folder / "set"
        if not where.exists():
            reader.make(where)
        (where / reader.file).write_bytes(data)
        sources = importlib.import_module(f"pipelines.data.{reader.task}")
        splits = sources.load(str(where))
        for part in ("train", "validation", "test"):
            for _ in splits[part].examples():
                pass

    return Target(f"{reader.task}, {reader.make.__name__}: {reader.file}", seeds, run)


_MODEL = "digits-lenet5"


def _model(folder: Path) -> Path:
    where = folder / "model" / "1"
    if not where.exists():
        newest = max((ROOT / "saved_models" / _MODEL).glob("[0-9]*"), key=lambda path: int(path.name))
        shutil.copytree(newest, where)
    return where


def _file_of_model(name: str, check: Callable[[Path], None], sealed: bool = False) -> Target:
    def run(data: bytes, folder: Path) -> None:
        where = _model(folder)
        (where / name).write_bytes(data)
        check(where)

    return Target(f"model: {name}", lambda folder: [(_model(folder) / name).read_bytes()], run, sealed)


def _check_model(directory: Path) -> None:
    from pipelines.artifacts.model_card import check_files, read_card
    from pipelines.core.errors import ModelError

    if problems := check_files(directory, read_card(directory)):
        raise ModelError(problems[0])


def _look_through(directory: Path) -> None:
    from pipelines.artifacts.trust.saved_model import find_in_saved_model

    find_in_saved_model(directory)


def _keras_files(folder: Path) -> list[bytes]:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    found = []
    for name in ("model.keras", "model.h5"):
        model.save(folder / name)
        found.append((folder / name).read_bytes())
    return found


def _take_keras_file(data: bytes, folder: Path) -> None:
    from pipelines.artifacts.trust.keras_file import find_in_keras_file

    path = folder / f"spoiled.{'keras' if data.startswith(b'PK') else 'h5'}"
    path.write_bytes(data)
    find_in_keras_file(path)


def _states(folder: Path) -> list[bytes]:
    from pipelines.training.checkpoint import FILE, State, write

    write(folder / FILE, State({"identity": {"seed": 1}, "epochs": [{"loss": 1.0}]}, {"w": np.arange(64.0)}))
    return [(folder / FILE).read_bytes()]


def _take_state(data: bytes, folder: Path) -> None:
    from pipelines.training.checkpoint import FILE, read

    (folder / FILE).write_bytes(data)
    read(folder / FILE)


def targets() -> list[Target]:
    """Return everything that is tried: the readers of every format are those that the tests know."""
    return [
        Target("images", _pictures, _take_picture),
        Target("zip", _archives, _take_archive),
        *map(_of_reader, READERS),
        _file_of_model("model_card.json", _check_model, sealed=True),
        _file_of_model("manifest.json", _check_model, sealed=True),
        _file_of_model("assets/labels.txt", _check_model, sealed=True),
        _file_of_model("saved_model.pb", _look_through),
        Target("keras files", _keras_files, _take_keras_file),
        Target("checkpoint", _states, _take_state, sealed=True),
    ]


class _TooLongError(BaseException):
    """An input took longer than is allowed."""


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _TooLongError

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS_AN_INPUT)  # of a processor
    signal.alarm(_PATIENCE)  # for what waits
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def _try(target: Target, data: bytes, folder: Path, good: Sequence[bytes]) -> tuple[str, str]:
    """Return what became of an input, and what was said."""
    try:
        with _timed(), contextlib.redirect_stderr(io.StringIO()):
            target.run(data, folder)
    except CnnAppError as error:
        return "refused", str(error)
    except _TooLongError:
        return "took too long", f"more than {_SECONDS_AN_INPUT} seconds"
    except BaseException:
        return "traceback", traceback.format_exc()
    if target.sealed and data not in good:
        return "believed", "it was altered, and taken"
    return "taken", ""


def _work(target: Target, seconds: float, seed: int, folder: Path, finds: Path) -> dict[str, int]:
    """Try inputs for so long, of a processor's time; the one at work is in a file, should the process end."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    dice = np.random.default_rng(seed)
    good = target.seeds(folder)
    counts: Counter[str] = Counter()
    said: set[str] = set()
    _try(target, good[0], folder, good)  # compiles and imports, which takes its time
    until = time.process_time() + seconds
    while (left := until - time.process_time()) > 0:
        data = spoil(good[int(dice.integers(0, len(good)))], dice, good)
        (folder / "at-work").write_bytes(data)
        outcome, text = _try(target, data, folder, good)
        counts[outcome] += 1
        last = text.strip().splitlines()[-1:]
        if outcome not in ("refused", "taken") and (new := f"{outcome} {last}") not in said and len(said) < 20:
            said.add(new)
            _keep(finds, target, data, text)
        (folder / "counts.json").write_text(json.dumps({"counts": counts, "spent": seconds - left}))
    return dict(counts)


def _keep(finds: Path, target: Target, data: bytes, text: str) -> None:
    finds.mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() else "-" for letter in target.name)
    number = sum(1 for _ in finds.glob(f"{name}-*.bin"))
    (finds / f"{name}-{number}.bin").write_bytes(data)
    (finds / f"{name}-{number}.txt").write_text(text)


def run(target: Target, seconds: float, seed: int, finds: Path) -> dict[str, int]:
    """Try a reader in a process of its own.

    Args:
        target: what reads.
        seconds: how long, of a processor's time.
        seed: of chance.
        finds: the folder for what is found.

    Returns:
        How many inputs ended how: "refused", "taken", "traceback", "believed", "took too long", "ended the process".
    """
    counts: Counter[str] = Counter()
    left = seconds
    while left > 0:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
            command = [sys.executable, __file__, "--worker", scratch, "--only", target.name, "--seed", str(seed)]
            command += ["--seconds", str(left), "--finds", str(finds)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            left -= 1  # of starting, lest one that always ends at once is tried for ever
            with contextlib.suppress(OSError, ValueError):
                told = json.loads((Path(scratch) / "counts.json").read_text())
                counts += Counter(told["counts"])
                left -= told["spent"]
            if done.returncode == 0:
                break
            at_work = Path(scratch) / "at-work"
            if not at_work.exists():
                raise RuntimeError(f"{target.name}: does not start: {done.stderr[-2000:]}")
            counts["ended the process"] += 1
            _keep(finds, target, at_work.read_bytes(), f"status {done.returncode}\n{done.stderr[-2000:]}")
            seed += 1
    return dict(counts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try every reader, and print the table; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(description="Spoil files at random, and see that every reader refuses in words.")
    parser.add_argument("--seconds", type=float, default=600, help="of a processor, for each reader")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="readers to try; see --list")
    parser.add_argument("--list", action="store_true", help="print the names of the readers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the counts are written, as they come")
    parser.add_argument("--finds", type=Path, default=ROOT / "artifacts" / "fuzz", help="folder for what is found")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    chosen = [target for target in targets() if not options.only or target.name in options.only]
    if options.list:
        print("\n".join(target.name for target in chosen))
        return 0
    if options.worker:
        _work(chosen[0], options.seconds, options.seed, options.worker, options.finds)
        return 0
    found: dict[str, dict[str, int]] = {}
    for target in chosen:
        found[target.name] = run(target, options.seconds, options.seed, options.finds)
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(found[target.name].items()))
        print(f"{target.name:44} {told}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n")
    bad = sum(count for counts in found.values() for name, count in counts.items() if name not in ("refused", "taken"))
    print(f"{sum(map(sum, (counts.values() for counts in found.values()))):,} inputs, {bad:,} finds")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
