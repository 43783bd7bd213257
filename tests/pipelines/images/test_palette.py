"""Colours of classes over images."""

from __future__ import annotations

import numpy as np

from pipelines.images.palette import class_colours, ink_on, is_background

NAMES = [str(number) for number in range(50)]


def lab(colours: np.ndarray) -> np.ndarray:
    """Return CIELAB of sRGB (CIE 15:2018, white point D65)."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.array(matrix).T / (0.95047, 1, 1.08883)
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


def test_no_colour_is_grey():
    found = lab(class_colours(NAMES))
    assert np.hypot(found[:, 1], found[:, 2]).min() > 15


def test_ten_classes_are_told_apart():
    found = lab(class_colours(NAMES[:10]))
    apart = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(10)
    assert apart.min() > 26  # as far as blue and sky blue of Okabe and Ito


def test_all_50_differ_and_then_begin_anew():
    table = class_colours([str(number) for number in range(55)])
    assert len({tuple(row) for row in table[:50].tolist()}) == 50
    np.testing.assert_array_equal(table[50:], table[:5])


def test_a_background_is_black_and_takes_no_colour_from_the_others():
    np.testing.assert_array_equal(class_colours(["Background", "a", "b"])[1:], class_colours(["a", "b"]))
    assert class_colours(["void", "a"])[0].tolist() == [0, 0, 0]
    assert not is_background(["road", "background"])
    assert class_colours([]).shape == (0, 3)


def test_ink_is_readable_on_every_colour():
    for colour in class_colours(NAMES):
        share = colour / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        luminance = linear @ (0.2126, 0.7152, 0.0722) + 0.05
        contrast = 1.05 / luminance if ink_on(colour) == "white" else luminance / 0.05
        assert contrast >= 4.5  # level AA of WCAG 2.1
