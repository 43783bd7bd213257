"""TensorFlow Serving's REST protocol, request by request and answer by answer."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnapp.service.protocol import Refusal, read_request, write_error, write_outputs
from cnnapp.service.signatures import Signature, TensorSpec

FLOATS = TensorSpec("float32", (None,))
ONE = Signature("serving_default", {"x": FLOATS}, {}, {})
TWO = Signature("two", {"a": FLOATS, "b": TensorSpec("int64", (None,))}, {}, {})
BYTES = Signature(
    "bytes",
    {"image_bytes": TensorSpec("string", (None,)), "scales": FLOATS, "threshold": TensorSpec("float32", ())},
    {},
    {"scales": np.array([1, 0.5], np.float32), "threshold": np.array(0.459, np.float32)},
)
SCALAR = Signature("scalar", {"image_bytes": TensorSpec("string", ()), "scale": TensorSpec("float32", ())}, {}, {})
PIXELS = Signature("pixels", {"images": TensorSpec("uint8", (None, None, None, 3))}, {}, {})
FLAGS = Signature("flags", {"on": TensorSpec("bool", (None,))}, {}, {})
ANY = Signature("any", {"x": TensorSpec("float64", None)}, {}, {})
SIGNATURES = {one.name: one for one in (ONE, TWO, BYTES, SCALAR, PIXELS, FLAGS, ANY)}


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def read(content: object):
    return read_request(content if isinstance(content, bytes) else json.dumps(content).encode(), SIGNATURES)


@pytest.mark.parametrize(
    ("content", "expected", "row"),
    [
        ({"instances": [1, 2.5]}, {"x": np.array([1, 2.5], "f4")}, True),
        ({"instances": [{"x": 1}, {"x": 2}]}, {"x": np.array([1, 2], "f4")}, True),
        ({"inputs": [1, 2]}, {"x": np.array([1, 2], "f4")}, False),
        ({"inputs": {"x": [3]}}, {"x": np.array([3], "f4")}, False),
        ({"signature_name": "", "inputs": {"x": []}}, {"x": np.array([], "f4")}, False),
        (
            {"signature_name": "two", "instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]},
            {"a": np.array([1, 3], "f4"), "b": np.array([2, 4], "i8")},
            True,
        ),
        (
            {"signature_name": "scalar", "inputs": {"image_bytes": b64(b"\xff\x00"), "scale": 0.5}},
            {"image_bytes": np.array(b"\xff\x00", object), "scale": np.array(0.5, "f4")},
            False,
        ),
        (
            {"signature_name": "pixels", "instances": [[[[0, 1, 255]]]]},
            {"images": np.array([[[[0, 1, 255]]]], "u1")},
            True,
        ),
        ({"signature_name": "flags", "inputs": [True, False]}, {"on": np.array([True, False])}, False),
        ({"signature_name": "any", "inputs": 7}, {"x": np.array(7.0)}, False),
        (b'{"inputs": [NaN, Infinity, -Infinity, 1]}', {"x": np.array([np.nan, np.inf, -np.inf, 1], "f4")}, False),
    ],
)
def test_a_request_becomes_arrays(content, expected, row):
    found = read(content)
    assert found.row is row
    assert set(found.inputs) == set(expected)
    for name, values in expected.items():
        assert found.inputs[name].dtype == values.dtype
        np.testing.assert_array_equal(found.inputs[name], values)


@pytest.mark.parametrize("form", [{"instances": [b64(b"\x89PNG"), "text"]}, {"inputs": [b64(b"\x89PNG"), "text"]}])
def test_bytes_come_in_base64_and_optional_inputs_are_filled_in(form):
    inputs = read({"signature_name": "bytes", **form}).inputs
    assert inputs["image_bytes"].tolist() == [b"\x89PNG", b"text"]
    assert inputs["scales"].tolist() == [1, 0.5]
    assert inputs["threshold"] == np.float32(0.459)


def test_optional_inputs_can_be_given():
    content = {"image_bytes": [b64(b"1")], "scales": [0.25], "threshold": 0}
    inputs = read({"signature_name": "bytes", "inputs": content}).inputs
    assert (inputs["scales"].tolist(), float(inputs["threshold"])) == ([0.25], 0)


def test_base64_without_its_padding_is_read():
    assert read({"signature_name": "bytes", "inputs": [{"b64": "YQ"}]}).inputs["image_bytes"].tolist() == [b"a"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The document is empty"),
        (b"instances = [1, 2]", "JSON Parse error"),
        (b"[" * 100_000, "JSON Parse error"),
        (b'{"signature_name": "bytes", "inputs": ["\\ud800"]}', "JSON Parse error"),
        (b'{"signature_name": "bytes", "inputs": [{"b64": "\\ud800"}]}', "JSON Parse error"),
        (b'{"signature_name": "\\ud800", "inputs": [1]}', "JSON Parse error"),
        (b"[1]", "expected a JSON object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"inputs": [1], "instances": [1]}, "one of the keys"),
        ({"signature_name": 1, "inputs": [1]}, "'signature_name' must be a string"),
        ({"signature_name": "byte", "inputs": [1]}, "Did you mean 'bytes'"),
        ({"instances": []}, "at least one"),
        ({"instances": {"x": 1}}, "must be a list"),
        ({"instances": [1, {"x": 1}]}, "received both"),
        ({"instances": [{"y": 1}]}, "unknown input 'y'"),
        ({"signature_name": "two", "instances": [1]}, "several inputs: a, b"),
        ({"signature_name": "two", "inputs": [1]}, "several inputs: a, b"),
        ({"signature_name": "two", "inputs": {"a": [1]}}, "Missing named input: b"),
        (
            {"signature_name": "bytes", "instances": [{"image_bytes": "a"}, {"image_bytes": "b", "scales": 1}]},
            "other keys than element 0",
        ),
        ({"signature_name": "bytes", "inputs": {"image_bytes": ["a"], "treshold": 1}}, "Did you mean 'threshold'"),
        ({"signature_name": "bytes", "instances": [{"image_bytes": "a", "threshold": 1}]}, "expected float32 []"),
        ({"signature_name": "bytes", "inputs": [{"b64": "?"}]}, "Unable to base64 decode"),
        ({"signature_name": "bytes", "inputs": [1]}, "expected a string or"),
        ({"signature_name": "bytes", "inputs": [["a"], ["b", "c"]]}, "several lengths"),
        ({"signature_name": "bytes", "inputs": ["a", ["b"]]}, "expected a string or"),
        ({"inputs": ["a"]}, "not of expected type: float32"),
        ({"inputs": [None]}, "not of expected type: float32"),
        ({"inputs": [[1], [2, 3]]}, "several lengths"),
        ({"inputs": [[1]]}, "received shape [1, 1]; expected float32 [?]"),
        ({"inputs": [1e39]}, "without loss of precision"),
        ({"signature_name": "pixels", "instances": [[[[0, 1, 256]]]]}, "numbers that uint8 has not"),
        ({"signature_name": "pixels", "instances": [[[[0, 1, 0.5]]]]}, "not of expected type: uint8"),
        ({"signature_name": "pixels", "instances": [[[[0, 1]]]]}, "expected uint8 [?, ?, ?, 3]"),
        ({"signature_name": "flags", "inputs": [1]}, "not of expected type: bool"),
        ({"signature_name": "two", "inputs": {"a": [1], "b": [2**64]}}, "not of expected type: int64"),
    ],
)
def test_what_is_no_request_is_refused_with_a_reason(content, reason):
    with pytest.raises(Refusal) as refusal:
        read(content)
    assert refusal.value.status == 400
    assert reason in refusal.value.message
    assert len(refusal.value.message) < 400


NAMES = np.array([b"cat", "hund ü".encode()], object)


@pytest.mark.parametrize(
    "content",
    [
        {"signature_name": "bytes", "instances": ["no image"] * 4},
        {"signature_name": "bytes", "inputs": {"image_bytes": ["no image"] * 4}},
        {"signature_name": "bytes", "inputs": {"image_bytes": [{"b64": "?"}] * 4}},
        {"signature_name": "pixels", "instances": [[[[1, 2, 3]]]] * 4},
        {"signature_name": "pixels", "inputs": [None] * 4},
    ],
)
def test_more_images_than_a_request_may_have_are_refused_before_they_are_read(content):
    with pytest.raises(Refusal, match="received 4 images in one request; this service takes at most 3") as found:
        read_request(json.dumps(content).encode(), SIGNATURES, images=3)
    assert (found.value.status, found.value.reason) == (400, "images")


def test_what_is_no_image_is_not_counted():
    assert len(read_request(b'{"inputs": [1, 2, 3, 4]}', {"serving_default": ONE}, images=3).inputs["x"]) == 4
    assert (
        len(read_request(b'{"instances": ["a", "b"]}', {"serving_default": BYTES}, images=2).inputs["image_bytes"]) == 2
    )


@pytest.mark.parametrize(
    ("outputs", "rows", "columns"),
    [
        ({"y": np.array([0.5, 2], "f4")}, [0.5, 2.0], [0.5, 2.0]),
        ({"y": np.array([[1, 2], [3, 4]], "i4")}, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ({"n": NAMES}, ["cat", "hund ü"], ["cat", "hund ü"]),
        ({"n_bytes": NAMES[:1]}, [{"b64": "Y2F0"}], [{"b64": "Y2F0"}]),
        (
            {"i": np.array([7, 8], "i8"), "n": NAMES},
            [{"i": 7, "n": "cat"}, {"i": 8, "n": "hund ü"}],
            {"i": [7, 8], "n": ["cat", "hund ü"]},
        ),
        (
            {"m": np.zeros((2, 1, 2), "u1"), "n": np.array([[b"a"], [b""]], object)},
            [{"m": [[0, 0]], "n": ["a"]}, {"m": [[0, 0]], "n": [""]}],
            {"m": [[[0, 0]], [[0, 0]]], "n": [["a"], [""]]},
        ),
        ({"b": np.array([True, False])}, [True, False], [True, False]),
        ({"t": np.arange(6).reshape(2, 3)[:, ::2]}, [[0, 2], [3, 5]], [[0, 2], [3, 5]]),
    ],
)
def test_arrays_become_an_answer(outputs, rows, columns):
    assert json.loads(write_outputs(outputs, row=True)) == {"predictions": rows}
    assert json.loads(write_outputs(outputs, row=False)) == {"outputs": columns}


def test_an_output_without_rows_is_answered_in_columns_alone():
    outputs = {"y": np.array(0.1, "f4"), "z": np.array(b"a", object)}
    assert write_outputs(outputs, row=False) == b'{"outputs":{"y":0.1,"z":"a"}}'
    for wrong in (outputs, {"y": np.zeros(2), "z": np.zeros(3)}):
        with pytest.raises(Refusal, match="inconsistent batch size"):
            write_outputs(wrong, row=True)


@pytest.mark.parametrize("row", [True, False])
@pytest.mark.parametrize("others", [{}, {"other": np.array([1.5, 2.5], "f4")}])
def test_what_json_has_no_number_for_is_written_as_tensorflow_serving_does(row, others):
    text = write_outputs({"y": np.array([[0.1, np.nan], [np.inf, -np.inf]], "f4")} | others, row)
    assert b"0.1,NaN" in text.replace(b" ", b"")
    found = json.loads(text)["predictions" if row else "outputs"]
    if others:
        found = [one["y"] for one in found] if row else found["y"]
    np.testing.assert_array_equal(np.array(found), [[float("0.1"), np.nan], [np.inf, -np.inf]])


@given(st.lists(st.floats(width=32), min_size=1), st.booleans())
def test_every_number_of_float32_comes_back(values, row):
    sent = np.array(values, np.float32)
    found = json.loads(write_outputs({"y": sent}, row))["predictions" if row else "outputs"]
    np.testing.assert_array_equal(np.array(found).astype(np.float32), sent)
    again = read_request(json.dumps({"inputs": found}).encode(), SIGNATURES).inputs["x"]
    np.testing.assert_array_equal(again, sent)


def test_an_error_is_an_object():
    assert json.loads(write_error('no "such" thing')) == {"error": 'no "such" thing'}
