"""From encoded bytes to the pixels a network sees: the ONE path of training and serving, all of it in the graph.

The rule, whoever asks: decode, apply the EXIF orientation, composite transparency over white, bring to size, round to
8 bits, and bring to the network's number of channels. JPEG, PNG, GIF (first frame) and BMP go in as they are; what
TensorFlow cannot decode is re-encoded first, without loss, by :mod:`pipelines.images.image_io`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import tensorflow as tf

from pipelines.images.image_io import HEADER_BYTES

__all__ = [
    "ImageSpec",
    "decode",
    "exif_orientation",
    "grey",
    "prepare",
    "prepare_batch",
    "prepare_size",
    "resize",
    "scaled",
    "scaled_size",
    "view",
]

_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class ImageSpec:
    """What a network is shown: uint8 of shape (height, width, channels), 0 to 255.

    Args:
        height: rows, in pixels.
        width: columns, in pixels.
        channels: 1 (grey) or 3 (RGB).
        resize: how an image of another shape is brought to size: ``"stretch"`` ignores its proportions, ``"pad"`` keeps
            them and fills with black, ``"crop"`` keeps them and cuts the longer side equally at both ends.
    """

    height: int
    width: int
    channels: int = 3
    resize: Literal["stretch", "pad", "crop"] = "stretch"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def exif_orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """Read the EXIF orientation of a JPEG or a PNG, with tensor operations alone.

    Args:
        image_bytes: scalar string; an encoded image of any format.

    Returns:
        Scalar int32, 1 to 8; 1 (as stored) where there is no orientation or it is not valid.

    Reference:
        CIPA DC-008 (2019), "Exchangeable image file format for digital still cameras: Exif 2.32", section 4.6.4.
    """
    data = _header(image_bytes)
    tiff = _find_tiff(data)
    return tf.cond(tiff > 0, lambda: _orientation_in_tiff(data, tiff), lambda: tf.constant(1, tf.int32))


def _header(image_bytes: tf.Tensor) -> tf.Tensor:
    header = tf.strings.substr(image_bytes, 0, HEADER_BYTES)
    # Sixteen zeros behind the end: reads past it find zeros instead of failing, and zeros mean nothing here.
    return tf.cast(tf.io.decode_raw(tf.strings.join([header, "\0" * 16]), tf.uint8), tf.int64)


def _byte(data: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    last = tf.size(data, out_type=tf.int64) - 1
    return tf.gather(data, tf.clip_by_value(position, 0, last))


def _find_tiff(data: tf.Tensor) -> tf.Tensor:
    """Find where the TIFF block of the metadata starts; 0 where there is none."""
    zero = tf.constant(0, tf.int64)
    is_jpeg = tf.logical_and(tf.equal(_byte(data, zero), 0xFF), tf.equal(_byte(data, zero + 1), 0xD8))
    is_png = tf.logical_and(tf.equal(_byte(data, zero), 0x89), tf.equal(_byte(data, zero + 1), 0x50))

    def elsewhere() -> tf.Tensor:
        return tf.cond(is_png, lambda: _find_in_png(data, b"eXIf"), lambda: zero)

    return tf.cond(is_jpeg, lambda: _find_tiff_in_jpeg(data), elsewhere)


def _spells(data: tf.Tensor, position: tf.Tensor, text: bytes) -> tf.Tensor:
    found = _byte(data, position + tf.range(len(text), dtype=tf.int64))
    return tf.reduce_all(tf.equal(found, tf.constant(list(text), tf.int64)))


def _find_tiff_in_jpeg(data: tf.Tensor) -> tf.Tensor:
    """Walk the segments of a JPEG, from behind its first marker to the start of the scan."""
    size = tf.size(data, out_type=tf.int64)

    def going_on(position: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        marker = _byte(data, position + 1)
        in_header = tf.logical_and(tf.equal(_byte(data, position), 0xFF), tf.not_equal(marker, 0xDA))
        return tf.logical_and(tf.logical_and(tf.equal(found, 0), position + 4 < size), in_header)

    def step(position: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        marker = _byte(data, position + 1)
        length = _byte(data, position + 2) * 256 + _byte(data, position + 3)
        is_exif = tf.logical_and(tf.equal(marker, 0xE1), _spells(data, position + 4, b"Exif\0\0"))
        # A marker may be preceded by any number of fill bytes 0xFF.
        following = tf.where(tf.equal(marker, 0xFF), position + 1, position + 2 + tf.maximum(length, 2))
        return following, tf.where(is_exif, position + 10, found)

    return tf.while_loop(going_on, step, [tf.constant(2, tf.int64), tf.constant(0, tf.int64)])[1]


def _find_in_png(data: tf.Tensor, chunk: bytes) -> tf.Tensor:
    """Walk the chunks of a PNG up to its pixels; return where the content of a chunk starts, 0 where it has none."""
    size = tf.size(data, out_type=tf.int64)

    def going_on(position: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        at_pixels = _spells(data, position + 4, b"IDAT")
        return tf.logical_and(tf.equal(found, 0), tf.logical_and(position + 8 < size, tf.logical_not(at_pixels)))

    def step(position: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        length = tf.add_n([_byte(data, position + i) * 256 ** (3 - i) for i in range(4)])
        return position + 12 + length, tf.where(_spells(data, position + 4, chunk), position + 8, found)

    return tf.while_loop(going_on, step, [tf.constant(8, tf.int64), tf.constant(0, tf.int64)])[1]


def _orientation_in_tiff(data: tf.Tensor, tiff: tf.Tensor) -> tf.Tensor:
    little = tf.equal(_byte(data, tiff), 0x49)

    def number(position: tf.Tensor, count: int) -> tf.Tensor:
        parts = [_byte(data, position + i) for i in range(count)]
        big = tf.add_n([part * 256 ** (count - 1 - i) for i, part in enumerate(parts)])
        return tf.where(little, tf.add_n([part * 256**i for i, part in enumerate(parts)]), big)

    directory = tiff + number(tiff + 4, 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2), 1024))
    # The value of a tag of type SHORT lies in the first two bytes of its field, in either byte order.
    values = tf.where(tf.equal(number(entries, 2), _ORIENTATION_TAG), number(entries + 8, 2), 0)
    value = tf.reduce_max(tf.concat([values, tf.zeros([1], tf.int64)], 0))
    legal = tf.logical_and(value >= 1, value <= 8)
    return tf.cast(tf.where(legal, value, 1), tf.int32)


def _orient(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    def one_of(*values: int) -> tf.Tensor:
        return tf.reduce_any(tf.equal(orientation, tf.constant(values)))

    def upright() -> tf.Tensor:
        turned = tf.cond(one_of(5, 6, 7, 8), lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        turned = tf.cond(one_of(2, 3, 6, 7), lambda: tf.reverse(turned, [1]), lambda: turned)
        return tf.cond(one_of(3, 4, 7, 8), lambda: tf.reverse(turned, [0]), lambda: turned)

    return tf.cond(tf.equal(orientation, 1), lambda: image, upright)


def _decode_png(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decode a PNG of any colour type; what is transparent shows white, as on a page."""
    data = _header(image_bytes)
    # Asked for alpha where a file has none, the decoder fills in 2 ** depth - 1, which is opaque at 8 bits only.
    has_alpha = tf.logical_or(_byte(data, tf.constant(25, tf.int64)) >= 4, _find_in_png(data, b"tRNS") > 0)

    def composite() -> tf.Tensor:
        rgba = tf.cast(tf.image.decode_png(image_bytes, channels=4), tf.float32)
        share = rgba[..., 3:] / 255.0
        return tf.cast(tf.round(rgba[..., :3] * share + 255.0 * (1.0 - share)), tf.uint8)

    return tf.cond(has_alpha, composite, lambda: tf.image.decode_png(image_bytes, channels=3))


# One function, so that a saved model with many signatures holds its graph once.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def decode(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decode one image, upright.

    Args:
        image_bytes: scalar string; JPEG, PNG, GIF (its first frame is taken) or BMP.

    Returns:
        uint8 of shape (H, W, 3), RGB, 0 to 255. 16-bit samples keep their high byte.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes are not an image that TensorFlow reads.
    """
    is_png = tf.equal(tf.strings.substr(image_bytes, 0, 4), b"\x89PNG")
    is_jpeg = tf.equal(tf.strings.substr(image_bytes, 0, 2), b"\xff\xd8")

    def jpeg() -> tf.Tensor:
        # The accurate transform gives what all other readers see; TensorFlow's default is off by some levels.
        return tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE")

    def other() -> tf.Tensor:
        return tf.io.decode_image(image_bytes, channels=3, expand_animations=False)

    image = tf.cond(is_png, lambda: _decode_png(image_bytes), lambda: tf.cond(is_jpeg, jpeg, other))
    image = tf.ensure_shape(image, [None, None, 3])
    return tf.ensure_shape(_orient(image, exif_orientation(image_bytes)), [None, None, 3])


def resize(image: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """Bring images to the size of a spec, bilinear with anti-aliasing, rounded to 8 bits.

    Args:
        image: uint8 of shape (H, W, C) or (batch, H, W, C).
        spec: the size and the way.

    Returns:
        uint8 of shape (height, width, C) or (batch, height, width, C).
    """
    size = (spec.height, spec.width)
    if spec.resize == "pad":
        scaled = _resize_and_pad(image, spec)
    elif spec.resize == "crop":
        scaled = tf.image.resize(_crop_to_aspect(image, spec.height / spec.width), size, antialias=True)
    else:
        scaled = tf.image.resize(image, size, antialias=True)
    return _rounded(scaled)


def _rounded(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)


def _resize_and_pad(image: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    inner, before = _padded(tf.shape(image)[-3:-1], spec)
    scaled = tf.image.resize(image, inner, antialias=True)
    return tf.image.pad_to_bounding_box(scaled, before[0], before[1], spec.height, spec.width)


def _padded(size: tf.Tensor, spec: ImageSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """Return to what size an image is scaled, and how many rows and columns are before it."""
    shape = tf.cast(size, tf.float32)
    target = tf.constant([spec.height, spec.width], tf.float32)
    # However long and thin an image is, one row or column of it remains.
    inner = tf.cast(tf.clip_by_value(tf.round(shape * tf.reduce_min(target / shape)), 1.0, target), tf.int32)
    return inner, (tf.cast(target, tf.int32) - inner) // 2


def _crop_to_aspect(image: tf.Tensor, aspect: float) -> tf.Tensor:
    first, count = _cropped(tf.shape(image)[-3:-1], aspect)
    return image[..., first[0] : first[0] + count[0], first[1] : first[1] + count[1], :]


def _cropped(size: tf.Tensor, aspect: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the first row and column of the middle of an image, and how many there are."""
    height, width = size[0], size[1]
    cut_height = tf.minimum(height, tf.cast(tf.round(tf.cast(width, tf.float32) * aspect), tf.int32))
    cut_width = tf.minimum(width, tf.cast(tf.round(tf.cast(height, tf.float32) / aspect), tf.int32))
    count = tf.maximum(tf.stack([cut_height, cut_width]), 1)
    return (size - count) // 2, count


def view(size: tf.Tensor, spec: ImageSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """Say where the pixels that a network sees lie in the image.

    Args:
        size: int32 of shape (2,): height and width of the image.
        spec: what the network sees.

    Returns:
        The row and the column of the image at which the network's first ones begin, below 0 where it is padded, and
        the side of one of the network's pixels, for rows and columns, in pixels of the image; float32 of shape (2,)
        each.
    """
    target = tf.constant([spec.height, spec.width], tf.float32)
    if spec.resize == "pad":
        inner, before = _padded(size, spec)
        step = tf.cast(size, tf.float32) / tf.cast(inner, tf.float32)
        return -tf.cast(before, tf.float32) * step, step
    if spec.resize == "crop":
        first, count = _cropped(size, spec.height / spec.width)
        return tf.cast(first, tf.float32), tf.cast(count, tf.float32) / target
    return tf.zeros([2]), tf.cast(size, tf.float32) / target


def _to_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    return image if channels == 3 else _rounded(tf.image.rgb_to_grayscale(tf.cast(image, tf.float32)))


def grey(images: tf.Tensor, rounded: bool = True) -> tf.Tensor:
    """Turn RGB images to grey.

    Args:
        images: float32 of shape (..., 3), 0 to 255.
        rounded: to whole levels, as those that networks are trained on.

    Returns:
        float32 of shape (..., 1).
    """
    found = tf.image.rgb_to_grayscale(images)
    return tf.round(found) if rounded else found


def prepare(images: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """Bring decoded images to what the network sees.

    Args:
        images: uint8 of shape (H, W, 3) or (batch, H, W, 3).
        spec: what the network sees.

    Returns:
        uint8 of shape (height, width, channels) or (batch, height, width, channels).
    """
    return _to_channels(resize(images, spec), spec.channels)


def prepare_size(image: tf.Tensor, size: tf.Tensor, channels: int) -> tf.Tensor:
    """Bring one decoded image to a size that is known only when it runs, as :func:`prepare` does.

    Args:
        image: uint8 of shape (H, W, 3).
        size: int32 of shape (2,): height and width, in pixels.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        uint8 of shape (height, width, channels).
    """
    same = tf.reduce_all(tf.equal(tf.shape(image)[:2], size))
    resized = tf.cond(same, lambda: image, lambda: _rounded(tf.image.resize(image, size, antialias=True)))
    return _to_channels(resized, channels)


def scaled_size(image: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Return height and width of an image that is scaled, in whole pixels: int32 of shape (2,), at least 1.

    Args:
        image: of shape (H, W, C).
        scale: scalar float32.
    """
    return scaled(tf.shape(image)[:2], scale)


def scaled(size: tf.Tensor, scale: float | tf.Tensor) -> tf.Tensor:
    """Return a size, int32 of shape (2,), that is scaled: in whole pixels, at least 1."""
    return tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32), 1)


def prepare_batch(image_bytes: tf.Tensor, spec: ImageSpec) -> tf.Tensor:
    """Decode and prepare a batch of images of any sizes.

    Args:
        image_bytes: string of shape (batch,).
        spec: what the network sees.

    Returns:
        uint8 of shape (batch, height, width, channels).
    """
    return tf.map_fn(
        lambda one: prepare(decode(one), spec),
        image_bytes,
        fn_output_signature=tf.TensorSpec(spec.shape, tf.uint8),
    )
