"""Made images for golden examples."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.artifacts.generated_images import generated_images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (28, 20), (64, 3), (168, 160)])
def test_they_are_png_of_the_size_the_same_each_time_and_all_different(size: tuple[int, int], channels: int):
    made = generated_images(size, channels)
    assert made == generated_images(size, channels)
    opened = [Image.open(io.BytesIO(data)) for data in made]
    assert {(image.format, image.mode, image.height, image.width) for image in opened} == {
        ("PNG", "L" if channels == 1 else "RGB", *size)
    }
    if min(size) > 3:
        assert len(set(made)) == len(made) == 10
        pixels = np.array([np.asarray(image) for image in opened])
        assert pixels.reshape(10, -1).std(axis=1).min() > 5
        assert pixels.min() < 20 < 235 < pixels.max()


def test_the_first_do_not_depend_on_how_many_there_are():
    assert generated_images((16, 16), 3, 4) == generated_images((16, 16), 3, 12)[:4]
