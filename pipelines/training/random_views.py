"""Random views of training images: where a crop lies, what it shows, and in what light."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["bend", "draw_matrix", "draw_shifts", "place", "relight", "sample"]

_KNOTS = 5
"""Of the grid of a bend, along each side: bends are wide, as those of tissue or of a hand's stroke."""


def draw_matrix(dice: np.random.Generator, *, zoom: float, aspect: float, flip: bool, turn: bool) -> np.ndarray:
    """Draw how a crop is scaled, mirrored and turned.

    Args:
        dice: where chance comes from.
        zoom: scales are drawn between 1 / zoom and zoom.
        aspect: and height against width between 1 / aspect and aspect.
        flip: mirror left to right, every second time.
        turn: turn by multiples of 90 degrees and mirror.

    Returns:
        float64 of shape (2, 2): from steps (x, y) on the crop to steps on the image.
    """
    scale = np.exp(dice.uniform(-1, 1) * np.log(zoom))
    stretch = np.exp(dice.uniform(-0.5, 0.5) * np.log(aspect))
    matrix = np.diag([1 / (scale * stretch), stretch / scale])
    if flip and dice.random() < 0.5:
        matrix[0] *= -1
    if turn:
        if dice.random() < 0.5:
            matrix[1] *= -1
        if dice.random() < 0.5:
            matrix = matrix[::-1].copy()
    return matrix


def place(matrix: np.ndarray, middle: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Put the middle of a crop on a point of the image.

    Args:
        matrix: as of :func:`draw_matrix`.
        middle: (x, y) on the image.
        size: (height, width) of the crop.

    Returns:
        float64 of shape (2, 3): ``(x, y)`` of the image is this matrix times ``(x, y, 1)`` of the crop.
    """
    height, width = size
    return np.concatenate([matrix, (middle - matrix @ [width / 2, height / 2])[:, None]], axis=1)


def sample(pixels: tf.Tensor, view: tf.Tensor, size: tuple[int, int], outside: float | None = None) -> tf.Tensor:
    """Look at an image through a view.

    Args:
        pixels: of shape (H, W, C).
        view: float32 of shape (2, 3), as of :func:`place`.
        size: (height, width) of the crop.
        outside: None for an image: bilinear, and beyond the border the last row or column goes on. A number for a mask:
            the nearest pixel's value, and that number beyond the border.

    Returns:
        float32 of shape (height, width, C).
    """
    # The operation counts from the middle of the first pixel, the view from its corner.
    shifted = view[:, 2] + tf.linalg.matvec(view[:, :2], [0.5, 0.5]) - 0.5
    matrix = tf.reshape(tf.concat([view[:, :2], shifted[:, None]], axis=1), [1, 6])
    crop = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pixels, tf.float32)[None],
        transforms=tf.concat([matrix, tf.zeros([1, 2])], axis=1),
        output_shape=tf.constant(size, tf.int32),
        interpolation="BILINEAR" if outside is None else "NEAREST",
        fill_mode="NEAREST" if outside is None else "CONSTANT",
        fill_value=0.0 if outside is None else outside,
    )[0]
    return tf.ensure_shape(crop, (*size, pixels.shape[-1]))


def bend(pixels: tf.Tensor, shifts: tf.Tensor, outside: float | None = None) -> tf.Tensor:
    """Move the pixels of a crop by shifts that change smoothly over it.

    Args:
        pixels: float32 of shape (height, width, C).
        shifts: float32 of shape (rows, columns, 2), (x, y) in pixels, at knots spread evenly over the crop.
        outside: as of :func:`sample`.

    Returns:
        Likewise.

    Reference:
        Simard, Steinkraus, Platt (2003), "Best Practices for Convolutional Neural Networks Applied to Visual Document
        Analysis".
    """
    height, width = pixels.shape[:2]
    smooth = tf.image.resize(shifts, (height, width), method="bicubic")
    x = tf.range(width, dtype=tf.float32) + smooth[..., 0]
    y = tf.range(height, dtype=tf.float32)[:, None] + smooth[..., 1]
    last = tf.constant([height - 1, width - 1])

    def taken(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        at = tf.stack([tf.cast(rows, tf.int32), tf.cast(columns, tf.int32)], axis=-1)
        return tf.gather_nd(pixels, tf.clip_by_value(at, 0, last))

    if outside is not None:
        rows, columns = tf.round(y), tf.round(x)
        inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
        return tf.where(inside[..., None], taken(rows, columns), outside)
    x, y = tf.clip_by_value(x, 0.0, width - 1.0), tf.clip_by_value(y, 0.0, height - 1.0)
    left, top = tf.floor(x), tf.floor(y)
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    upper = taken(top, left) * (1 - right_share) + taken(top, left + 1) * right_share
    lower = taken(top + 1, left) * (1 - right_share) + taken(top + 1, left + 1) * right_share
    return upper * (1 - lower_share) + lower * lower_share


def draw_shifts(seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Draw the shifts of :func:`bend`: normal, of a standard deviation of `strength` pixels.

    Args:
        seed: int64 of shape (2,).
        strength: in pixels.

    Returns:
        float32 of shape (5, 5, 2).
    """
    return tf.random.stateless_normal([_KNOTS, _KNOTS, 2], seed, stddev=strength)


def relight(crop: tf.Tensor, seed: tf.Tensor, light: float) -> tf.Tensor:
    """Change brightness, contrast, and how strong each colour is.

    Args:
        crop: float32 of shape (height, width, C), 0 to 255.
        seed: int64 of shape (2,).
        light: the largest change of brightness (as a share of 255), of contrast and of each colour (as factors).

    Returns:
        Likewise.
    """
    draws = tf.random.stateless_uniform([2 + crop.shape[-1]], seed, -light, light)
    middle = tf.reduce_mean(crop)
    factors = (1.0 + draws[1]) * (1.0 + draws[2:] / 2)
    return tf.clip_by_value((crop - middle) * factors + middle + 255.0 * draws[0], 0.0, 255.0)
