"""Memory and time of an image of 20,000 x 20,000 pixels that is segmented piece by piece, from TIFF to TIFF.

The image is made of embedded scenes side by side and written by windows. Then `cnnapp predict --tile 1024 --masks` runs
in a process of its own, whose peak memory is what the system says of it; the target is 2 GiB. At the end some windows
of the mask are compared with the answer for the same windows with all that they depend on around them.

    python benchmarks/large_image.py                 # with the shipped network; about ten minutes on two cores
    python benchmarks/large_image.py --side 6000     # a smaller one
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import project_first  # noqa: F401

import cnnapp
from pipelines.data.embedded import scenes
from pipelines.segmentation.tiled_files import open_mask

TARGET = 2 * 2**30
_ROWS = 960  # ten scenes


def write(path: Path, side: int) -> None:
    """Write the image, some rows at a time."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.windows import Window

    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    one = np.vstack([np.hstack([scenes.scene(0, "test", 10 * i + j).image for j in range(10)]) for i in range(10)])
    band = np.tile(one, (1, -(-side // one.shape[1])))[:, :side]
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=1, dtype="uint8", tiled=True, compress="deflate",
        blockxsize=512, blockysize=512,
    ) as file:  # fmt: skip
        for top in range(0, side, _ROWS):
            rows = min(_ROWS, side - top)
            file.write(np.roll(band, 37 * top, axis=1)[:rows], 1, window=Window(0, top, side, rows))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000, help="of the image, in pixels (default: 20,000)")
    parser.add_argument("--tile", type=int, default=1024, help="side of the pieces (default: 1,024)")
    parser.add_argument("--model", default="digit-segmentation", help="name or path of a saved model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        image, masks = Path(scratch) / "image.tif", Path(scratch) / "masks"
        write(image, options.side)
        command = ["predict", options.model, str(image), "--tile", str(options.tile), "--masks", str(masks)]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cnnapp", *command], check=True)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        same = compare(cnnapp.load(options.model), image, next(masks.iterdir()), options.side)
    verdict = "" if peak <= TARGET else "; MISSED"
    print(
        f"{options.side:,} x {options.side:,} pixels in pieces of {options.tile:,}: peak {peak / 2**30:.2f} GiB "
        f"(at most {TARGET / 2**30:.0f}{verdict}), {seconds:.0f} s, {options.side**2 / seconds / 1e6:.2f} million "
        f"pixels a second; {same} windows are those of their surroundings"
    )


def compare(model: cnnapp.Predictor, image: Path, mask: Path, side: int) -> int:
    """Compare windows of the mask with answers for parts of the image that hold all they depend on; count them."""
    from pipelines.images.windowed_reader import open_raster

    dice = np.random.default_rng(0)
    around, length = 256, 300
    count = 0
    with open_raster(image) as raster, open_mask(mask) as rows:
        for _ in range(5):
            # Parts begin at multiples of the network's strides, as its maps do.
            top, left = (8 * int(dice.integers(around // 8, (side - length - around) // 8)) for _ in range(2))
            part = raster.read((top - around, top + length + around), (left - around, left + length + around))
            own = model.predict(part)[0].class_map[around:-around, around:-around]
            found = rows(top, top + length)[:, left : left + length]
            assert (own != found).mean() < 1e-5, (top, left)
            count += 1
    return count


if __name__ == "__main__":
    main()
