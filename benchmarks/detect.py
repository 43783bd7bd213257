"""Speed of a whole answer of a detector: decoding, pyramid, boxes and suppression over the network's dense scans alone.

The image is a JPEG of 640 x 480 pixels with many digits (scenes of the embedded source side by side), the pyramid has 6
levels, 1.25 apart. Whole is the saved model's `serving_default` from the encoded bytes on; dense scans are its
`windows` signature on the levels' pixels, scaled beforehand. Both run by turns. The figure is the median over rounds of
ratios within a round.

    python benchmarks/detect.py                              # the shipped detector
    python benchmarks/detect.py --model cars --image a.jpg   # another, on an image of one's own
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import project_first  # noqa: F401

from pipelines.core.tensorflow_import import import_tensorflow

import_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from PIL import Image  # noqa: E402
from timing import seconds  # noqa: E402

from cnnapp.prediction import model_paths  # noqa: E402
from pipelines.artifacts.served_model import ServedModel  # noqa: E402
from pipelines.data.embedded import scenes  # noqa: E402
from pipelines.detection.sliding_window import ScanSpec, level  # noqa: E402
from pipelines.images import preprocessing  # noqa: E402

TARGET = 1.3
LEVELS = 6


def crowd() -> bytes:
    """Return a JPEG of 640 x 480 pixels: five by five test scenes."""
    rows = [np.hstack([scenes.scene(0, "test", 5 * row + column).image for column in range(5)]) for row in range(5)]
    picture = Image.fromarray(np.vstack(rows)).convert("RGB")
    assert picture.size == (640, 480)
    return to_jpeg(picture)


def to_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as JPEG."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="digit-scenes", help="name or path of a saved model")
    parser.add_argument("--image", type=Path, help="an image file; it is brought to 640 x 480 pixels")
    parser.add_argument("--rounds", type=int, default=25, help="rounds of timing (default: 25)")
    arguments = parser.parse_args()
    data = crowd()
    if arguments.image is not None:
        data = to_jpeg(Image.open(arguments.image).convert("RGB").resize((640, 480)))
    served = ServedModel(model_paths.resolve(arguments.model))
    spec = ScanSpec.from_json(served.card.input)
    scales = [spec.scales[0] * 1.25**-step for step in range(LEVELS)]
    image = preprocessing.decode(tf.constant(data))
    pixels = [tf.cast(level(image, tf.constant(scale), spec), tf.float32)[None] for scale in scales]
    whole = lambda: served([data], scales=scales)  # noqa: E731
    dense = lambda: [served.run("windows", pixels=one) for one in pixels]  # noqa: E731
    times = seconds([dense, whole], arguments.rounds)
    ratio = np.median(times[:, 1] / times[:, 0])
    windows = sum(int(np.prod(served.run("windows", pixels=one)["outputs"].shape[1:3])) for one in pixels)
    print(f"{served.card.name}/{served.card.version}: {windows:,} windows in {LEVELS} levels of 640 x 480 pixels\n")
    print("| dense scans | whole answer | whole over scans | target |\n|---|---|---|---|")
    print("| {:.1f} ms | {:.1f} ms | {:.2f} | {} |".format(*(np.median(times, 0) * 1e3), ratio, TARGET))


if __name__ == "__main__":
    main()
