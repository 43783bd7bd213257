"""Measure what the heaviest image of each format that is taken costs: ``python tests/tools/intake_costs.py``.

Each is made, and then taken in by a process of its own, as the page does: brought to what the graph decodes, and
decoded to look at. Seconds are of computing; memory is the most that the process took, less what it took before.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.images import image_io
from pipelines.intake.limits import LIMITS

Image.MAX_IMAGE_PIXELS = None
MEGAPIXELS_12 = (3000, 4000)


def sides(pixels: int, longest: int = 65_500) -> tuple[int, int]:
    """Return height and width of about so many pixels, no side longer than a format allows."""
    width = min(longest, int(pixels**0.5))
    return min(longest, pixels // width), width


def noise(size: tuple[int, int], channels: int, kind: type = np.uint8) -> np.ndarray:
    """Return an image that shrinks neither much nor not at all: noise in every eighth row."""
    height, width = size
    rows = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (-(-height // 8), width, channels), kind)
    found = np.repeat(rows, 8, axis=0)[:height]
    return found[..., 0] if channels == 1 else found


def encoded(array: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    """Return the bytes of a file."""
    buffer = io.BytesIO()
    picture = Image.fromarray(array) if mode is None else Image.frombytes(mode, array.shape[1::-1], array.tobytes())
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def with_scans(data: bytes) -> bytes:
    """Repeat the last scan of a progressive JPEG as often as is taken."""
    last = data.rindex(b"\xff\xda")
    picture = Image.open(io.BytesIO(data))
    count = min(LIMITS.scans, LIMITS.scanned_pixels // (picture.width * picture.height)) - data.count(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def runs(size: tuple[int, int]) -> bytes:
    """Return a BMP of runs of a single pixel each, the slowest to decode."""
    height, width = size
    body = (b"\1\7" * width + b"\0\0") * height
    header = b"BM" + (1078 + len(body)).to_bytes(4, "little") + bytes(4) + (1078).to_bytes(4, "little")
    fields = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return header + fields + bytes(1024) + body


def text(size: tuple[int, int]) -> bytes:
    """Return a PPM as text."""
    rows = (" ".join(map(str, row)) for row in noise(size, 3).reshape(size[0], -1).tolist())
    return b"P3 %d %d 255\n" % size[::-1] + "\n".join(rows).encode()


def few_levels(size: tuple[int, int]) -> bytes:
    """Return a PPM whose largest value is not that of a byte."""
    return b"P6 %d %d 100\n" % size[::-1] + (noise(size, 3) % 101).tobytes()


FORMATS: dict[str, tuple[Callable[[tuple[int, int]], bytes], int, int]] = {
    "JPEG": (lambda size: encoded(noise(size, 3), "JPEG", quality=90), LIMITS.pixels, 65_500),
    "JPEG, most scans": (
        lambda size: with_scans(encoded(noise(size, 3), "JPEG", progressive=True)),
        LIMITS.pixels,
        65_500,
    ),
    "JPEG, CMYK": (
        lambda size: encoded(noise(size, 4), "JPEG", mode="CMYK"),
        LIMITS.pixels,
        65_500,
    ),
    "PNG, RGB": (lambda size: encoded(noise(size, 3), "PNG", compress_level=1), LIMITS.pixels, 10**6),
    "PNG, RGBA": (lambda size: encoded(noise(size, 4), "PNG", compress_level=1), LIMITS.pixels, 10**6),
    "PNG, 16 bits": (lambda size: encoded(noise(size, 1, np.uint16), "PNG", compress_level=1), LIMITS.pixels, 10**6),
    "GIF": (lambda size: encoded(noise(size, 1), "GIF"), LIMITS.pixels, 65_500),
    "BMP": (lambda size: encoded(noise(size, 3), "BMP"), LIMITS.pixels, 10**6),
    "BMP, run lengths": (runs, LIMITS.slow_pixels - 2**14, 10**6),
    "WebP": (lambda size: encoded(noise(size, 3), "WEBP", method=0), LIMITS.pixels, 16_383),
    "WebP, lossless": (lambda size: encoded(noise(size, 3), "WEBP", lossless=True, method=0), LIMITS.pixels, 16_383),
    "TIFF, LZW": (lambda size: encoded(noise(size, 3), "TIFF", compression="tiff_lzw"), LIMITS.pixels, 10**6),
    "TIFF, float": (lambda size: encoded(noise(size, 1).astype(np.float32), "TIFF"), LIMITS.pixels, 10**6),
    "PPM": (lambda size: encoded(noise(size, 3), "PPM"), LIMITS.pixels, 10**6),
    "PPM, 101 levels": (few_levels, LIMITS.pixels, 10**6),
    "PPM as text": (text, LIMITS.slow_pixels, 10**6),
    "TGA, run lengths": (lambda size: encoded(noise(size, 3), "TGA", compression="tga_rle"), LIMITS.pixels, 65_500),
    "JPEG 2000": (lambda size: encoded(noise(size, 3), "JPEG2000"), LIMITS.slow_pixels, 10**6),
    "ICO": (lambda size: encoded(noise((256, 256), 4), "ICO", sizes=[(256, 256)]), 256 * 256, 256),
}
"""What makes each, the most pixels of it that are taken, and the longest side that the format has."""


def measure(path: Path) -> None:
    """Take an image in, and print what that cost, as JSON."""

    def memory() -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1])

    before, started = memory(), os.times()
    picture = image_io.open_rgb(path)
    ended = os.times()
    seconds = ended.user + ended.system - started.user - started.system
    pixels = picture.width * picture.height
    print(json.dumps({"seconds": seconds, "bytes": (memory() - before) * 1024, "pixels": pixels}))


def row(name: str, size: tuple[int, int] | None, folder: Path) -> str:
    """Make an image and measure it."""
    make, most, longest = FORMATS[name]
    path = folder / "image"
    path.write_bytes(make(size or sides(most, longest)))
    command = [sys.executable, __file__, "--measure", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    size_of_file = path.stat().st_size / 2**20
    return f"{found['pixels'] / 1e6:.3g} | {size_of_file:,.1f} | {found['seconds']:.1f} | {found['bytes'] / 2**30:.2f}"


def main() -> None:
    """Print a table, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", type=Path, help="take in this file, and say what that cost")
    parser.add_argument("--only", default="", help="measure formats with this in their names")
    parser.add_argument("--megapixels-12", action="store_true", help="of 12 megapixels instead of the most")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    print("| format | megapixels | MiB | seconds | GiB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            if arguments.only in name:
                size = MEGAPIXELS_12 if arguments.megapixels_12 and name != "ICO" else None
                print(f"| {name} | {row(name, size, Path(folder))} |", flush=True)


if __name__ == "__main__":
    main()
