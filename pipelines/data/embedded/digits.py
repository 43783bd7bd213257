"""The embedded source: 1,797 real handwritten digits of 8 x 8 pixels, which come with scikit-learn.

Reference:
    E. Alpaydin, C. Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository.
"""

from __future__ import annotations

import hashlib

import numpy as np

from pipelines.core import extras
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Split, Splits, split_of
from pipelines.images import image_io

__all__ = ["load"]


def load(seed: int) -> Splits[int]:
    """Load the digits, split by a seeded hash of their numbers.

    Args:
        seed: seed of the split.

    Returns:
        Grey PNG images of 8 x 8 pixels, white strokes on black, ten classes "0" to "9".

    Raises:
        ConfigError: if scikit-learn is not installed.
    """
    extras.need("the data set digits", "train", "scikit-learn")
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    parts: dict[str, list[int]] = {name: [] for name in SPLIT_NAMES}
    for number in range(len(pixels)):
        parts[split_of(f"digits/{number}", seed)].append(number)

    def part(name: str) -> Split[int]:
        numbers = parts[name]

        def item(number: int) -> Item[int]:
            key, label = f"digits/{number}", int(digits.target[number])
            return Item(key, lambda: Example(key, image_io.read(pixels[number]), label), classes=lambda: (label,))

        return Split.of(name, len(numbers), lambda: map(item, numbers))

    fingerprint = hashlib.sha256(pixels.tobytes() + digits.target.astype("<i4").tobytes() + str(seed).encode())
    return Splits(
        source="digits",
        classes=tuple(str(name) for name in digits.target_names),
        train=part("train"),
        validation=part("validation"),
        test=part("test"),
        mirrored=False,
        fingerprint=fingerprint.hexdigest(),
    )
