"""How much memory an answer takes is reckoned from the network's maps."""

from __future__ import annotations

import keras

from pipelines.memory import available, bytes_per_pixel, needed
from pipelines.models import SEGMENTERS


def test_maps_are_counted_while_they_are_needed():
    pixels = keras.Input((256, 256, 1))
    x = keras.layers.Conv2D(8, 3, padding="same")(pixels)
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    # In the second: 32 bytes read, 16 written, and a copy of what is read.
    assert bytes_per_pixel(keras.Model(pixels, x)) == 32 + 16 + 32
    kept = keras.layers.Concatenate()([keras.layers.Conv2D(4, 1)(x), x, pixels])
    assert bytes_per_pixel(keras.Model(pixels, kept)) > 80


def test_a_larger_network_and_a_larger_scale_take_more():
    small, large = (bytes_per_pixel(SEGMENTERS["unet"](3, 5, filters=filters)) for filters in (8, 32))
    assert small * 2 < large
    assert needed(1000, 1000, 0.5, large, 5) < needed(1000, 1000, 1.0, large, 5) < needed(1000, 2000, 1.0, large, 5)
    assert 0 < needed(10, 10, 1.0, small, 5) < available()
