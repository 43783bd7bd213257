"""Draw what the README shows of segmentation of roads: class maps that a network answers, and the names of the classes.

The photographs are not shown: CamVid's are not ours to give.

    python docs/draw_segmentation.py --model camvid --data camvid --ignore 11
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

COLUMNS, SHOWN, WIDTH = 3, 6, 320
ROW = 22


def main() -> None:
    """Answer for some test images and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="camvid", help="name or path of a saved model")
    parser.add_argument("--data", default="camvid", help="images with masks, whose test part is taken")
    parser.add_argument("--ignore", type=int, help="a value of the masks that is no class")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "segmentation.png")
    options = parser.parse_args()

    import cnnapp
    from pipelines.data import segmentation
    from pipelines.images.masks import colours

    model = cnnapp.load(options.model)
    part = segmentation.load(options.data, ignore=options.ignore).test
    step = part.size // SHOWN
    images = [example.image for example in islice(part.examples(), 0, step * SHOWN, step)]
    table = colours(256)
    maps = [Image.fromarray(table[answer.class_map]) for answer in model.predict(images)]
    height = round(WIDTH * maps[0].height / maps[0].width)
    names = model.card.classes
    per_row = 6
    legend = ROW * -(-len(names) // per_row) + 8
    rows = -(-SHOWN // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * (WIDTH + 4), rows * (height + 4) + legend), "white")
    for number, one in enumerate(maps):
        row, column = divmod(number, COLUMNS)
        small = one.resize((WIDTH, height), Image.Resampling.NEAREST)
        canvas.paste(small, (column * (WIDTH + 4), row * (height + 4)))
    pen = ImageDraw.Draw(canvas)
    for number, name in enumerate(names):
        row, column = divmod(number, per_row)
        x, y = 6 + column * (canvas.width // per_row), rows * (height + 4) + 6 + row * ROW
        pen.rectangle((x, y, x + 14, y + 14), fill=tuple(map(int, table[number])), outline="#222222")
        pen.text((x + 20, y), name, fill="#222222", font_size=13)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    canvas.quantize(64).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
