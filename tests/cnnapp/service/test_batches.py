"""Requests that are joined get what each would get alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnapp.service import batches
from cnnapp.service.protocol import Request
from cnnapp.service.signatures import Signature, TensorSpec

BYTES, FLOAT = TensorSpec("string", (None,)), TensorSpec("float32", (None,))
MAPS = {"class_map": TensorSpec("uint8", (None, None, None)), "sizes": TensorSpec("int32", (None, 2))}
MASKS = Signature("masks", {"image_bytes": BYTES}, MAPS, {})
BOXES = Signature(
    "boxes",
    {"image_bytes": BYTES, "scales": FLOAT},
    {"boxes": TensorSpec("float32", (None, 100, 4))},
    {"scales": np.ones(1, np.float32)},
)


def request(signature: Signature, images: list[bytes], **options: list[float]) -> Request:
    given = {name: np.array(options.get(name, value), np.float32) for name, value in signature.defaults.items()}
    return Request(signature, {"image_bytes": np.array(images, object)} | given, row=False)


def masks(sizes: list[tuple[int, int]], number: int) -> dict[str, np.ndarray]:
    """Return what a model gives for images of some sizes: maps as large as the largest, full of a number."""
    height, width = np.max(sizes, axis=0)
    maps = np.full((len(sizes), height, width), 255, np.uint8)
    for one, (rows, columns) in zip(maps, sizes, strict=True):
        one[:rows, :columns] = number
    return {"class_map": maps, "sizes": np.array(sizes, np.int32)}


SIZES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4)


@given(st.lists(SIZES, min_size=1, max_size=5))
def test_maps_are_cut_to_what_each_request_would_have_alone(requests):
    alone = [masks(sizes, number) for number, sizes in enumerate(requests)]
    together = masks([size for sizes in requests for size in sizes], 0)
    first = 0
    for number, sizes in enumerate(requests):
        for size in sizes:
            together["class_map"][first, : size[0], : size[1]] = number
            first += 1
    found = batches.split(together, [len(sizes) for sizes in requests], MASKS)
    for one, expected in zip(found, alone, strict=True):
        for name, values in expected.items():
            np.testing.assert_array_equal(one[name], values)


def test_requests_are_joined_in_order_and_share_their_options():
    joined = batches.join([request(BOXES, [b"a", b"b"], scales=[2]), request(BOXES, [b"c"], scales=[2])])
    assert joined["image_bytes"].tolist() == [b"a", b"b", b"c"]
    assert joined["scales"].tolist() == [2]


def test_only_requests_of_one_kind_are_joined():
    one = batches.kind(request(BOXES, [b"a"]))
    assert one == batches.kind(request(BOXES, [b"b", b"c"], scales=[1]))
    assert one != batches.kind(request(BOXES, [b"a"], scales=[0.5]))
    assert one != batches.kind(request(BOXES, [b"a"], scales=[1, 1]))
    assert one != batches.kind(request(MASKS, [b"a"]))
    pixels = Signature("pixels", {"x": TensorSpec("uint8", (None, None))}, {"y": FLOAT}, {})
    kinds = [
        batches.kind(Request(pixels, {"x": np.zeros(shape, np.uint8)}, False)) for shape in ((1, 2), (5, 2), (1, 3))
    ]
    assert kinds[0] == kinds[1] != kinds[2]


@pytest.mark.parametrize(
    ("inputs", "outputs", "joins"),
    [
        ({"image_bytes": BYTES}, {"scores": TensorSpec("float32", (None, 10))}, True),
        ({"image_bytes": BYTES}, MAPS, True),
        # Nothing would tell how large the map of each image is.
        ({"image_bytes": BYTES}, {"map": TensorSpec("float32", (None, None, None))}, False),
        (
            {"pixels": TensorSpec("float32", (None, None, None, 1))},
            {"map": TensorSpec("float32", (None, None, 3))},
            True,
        ),
        ({"image_bytes": TensorSpec("string", ())}, {"map": TensorSpec("float32", (None, None))}, False),
        ({"image_bytes": BYTES}, {"total": TensorSpec("float32", ())}, False),
        ({"image_bytes": BYTES}, {"anything": TensorSpec("float32", None)}, False),
    ],
)
def test_a_signature_joins_where_its_answer_can_be_cut(inputs, outputs, joins):
    signature = Signature("any", inputs, outputs, {})
    assert signature.joins is joins
    first = {name: np.zeros((1,) * len(spec.shape or ()), np.float32) for name, spec in inputs.items()}
    assert (batches.kind(Request(signature, first, False)) is not None) is joins
