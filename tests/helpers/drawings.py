"""Small generated images: shapes, folders of them, and scenes with boxes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


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
