"""TensorFlow Serving's REST protocol: from JSON to named arrays and back. No TensorFlow, no network.

A request for a prediction is, in rows or in columns::

    {"signature_name": "serving_default", "instances": [{"b64": "..."}, ...]}
    {"signature_name": "serving_default", "inputs": {"image_bytes": [{"b64": "..."}], "score_threshold": 0.5}}

and its answer ``{"predictions": [...]}`` or ``{"outputs": ...}``. Inputs that have a default may be left out.

Reference:
    TensorFlow Serving, "RESTful API".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from cnnapp.service.signatures import DEFAULT, Signature, TensorSpec
from pipelines.core.errors import unknown

__all__ = ["Refusal", "Request", "read_request", "to_json", "write_error", "write_outputs"]

_SHOWN = 60  # characters of a value that an error repeats
_BYTES = "_bytes"  # an output whose name ends so is not text


class Refusal(Exception):
    """What a client is told instead of an answer.

    Args:
        status: of HTTP.
        message: what was received, what was expected.
        retry_after: seconds after which it may be asked again.
        reason: a word for the figures of the service: which of its limits or checks it was; empty for all others.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after, self.reason = status, message, retry_after, reason


@dataclass(frozen=True)
class Request:
    """A request for a prediction.

    Args:
        signature: that is asked.
        inputs: its inputs by name, complete; strings as arrays of ``bytes`` objects.
        row: whether it was in rows, and is to be answered in rows.
    """

    signature: Signature
    inputs: dict[str, np.ndarray]
    row: bool


def read_request(body: bytes, signatures: Mapping[str, Signature], images: int | None = None) -> Request:
    """Read a request.

    Args:
        body: JSON.
        signatures: of the model, by name.
        images: how many it may have; None for any number.

    Raises:
        Refusal: with status 400, if it is no request, or not one that a signature takes.

    Example:
        >>> takes = Signature("serving_default", {"x": TensorSpec("float32", (None,))}, {}, {})
        >>> read_request(b'{"instances": [1, 2.5]}', {"serving_default": takes}).inputs["x"]
        array([1. , 2.5], dtype=float32)
    """
    content = _parse(body)
    name = content.get("signature_name", "")
    if not isinstance(name, str):
        raise Refusal(400, f"'signature_name' must be a string; received {_shown(name)}")
    signature = signatures.get(name or DEFAULT)
    if signature is None:
        raise Refusal(
            400, f'Serving signature name: "{name or DEFAULT}" not found; {unknown("signature", name, signatures)}'
        )
    if ("instances" in content) == ("inputs" in content):
        raise Refusal(
            400,
            "expected one of the keys 'inputs' and 'instances'; received "
            + ("both" if "inputs" in content else "neither: Missing 'inputs' or 'instances' key"),
        )
    row = "instances" in content
    given = _rows(content["instances"], signature) if row else _columns(content["inputs"], signature)
    if images is not None:
        for key, value in given.items():
            _check_count(value, key, signature.inputs[key], images)
    inputs = {key: _array(value, key, signature.inputs[key]) for key, value in given.items()}
    return Request(signature, dict(signature.defaults) | inputs, row)


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise Refusal(400, "JSON Parse error: The document is empty")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            content = json.loads(body)  # which takes NaN and Infinity, as TensorFlow Serving does
            json.dumps(content, ensure_ascii=False).encode()  # and halves of characters, which nothing else takes
        except (ValueError, RecursionError):
            raise Refusal(400, f"JSON Parse error: {error}") from None
    if not isinstance(content, dict):
        raise Refusal(400, f"expected a JSON object; received {_shown(content)}")
    return content


def _rows(instances: Any, signature: Signature) -> dict[str, list[Any]]:
    """Return the instances as columns."""
    if not isinstance(instances, list) or not instances:
        raise Refusal(400, f"'instances' must be a list of at least one; received {_shown(instances)}")
    named = [isinstance(one, dict) and not _is_base64(one) for one in instances]
    if any(named) != all(named):
        raise Refusal(400, "'instances' must be all objects or all values; received both")
    if not named[0]:
        return {_only_input(signature, "instances"): instances}
    for number, one in enumerate(instances):
        _check_names(one, signature, f"element {number} of 'instances'")
        if one.keys() != instances[0].keys():
            raise Refusal(400, f"element {number} of 'instances' has other keys than element 0: {_shown(list(one))}")
    return {key: [one[key] for one in instances] for key in instances[0]}


def _columns(inputs: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(inputs, dict) or _is_base64(inputs):
        return {_only_input(signature, "inputs"): inputs}
    _check_names(inputs, signature, "'inputs'")
    return inputs


def _only_input(signature: Signature, key: str) -> str:
    if len(signature.required) != 1:
        raise Refusal(
            400, f"{key!r} is plain, but expecting objects, as {signature.name} takes several inputs: "
            f"{', '.join(signature.inputs)}"
        )  # fmt: skip
    return signature.required[0]


def _check_names(given: Mapping[str, Any], signature: Signature, where: str) -> None:
    for key in given:
        if key not in signature.inputs:
            raise Refusal(400, f"{where}: {unknown('input', key, signature.inputs)}")
    for key in signature.required:
        if key not in given:
            raise Refusal(400, f"Missing named input: {key} in {where}")


def _check_count(value: Any, name: str, spec: TensorSpec, most: int) -> None:
    """Refuse more images, encoded or as pixels, than a request may have; before any of them is looked at."""
    pixels = spec.shape is not None and len(spec.shape) == 4
    if (spec.dtype == "string" or pixels) and isinstance(value, list) and len(value) > most:
        raise Refusal(
            400,
            f"{name}: received {len(value):,} images in one request; this service takes at most {most:,}: send them in "
            "several requests",
            reason="images",
        )


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _array(value: Any, name: str, spec: TensorSpec) -> np.ndarray:
    array = _strings(value, name) if spec.dtype == "string" else _numbers(value, name, np.dtype(spec.dtype))
    if not spec.fits(array.shape):
        raise Refusal(400, f"{name}: received shape {list(array.shape)}; expected {spec}")
    return array


def _strings(value: Any, name: str) -> np.ndarray:
    shape = _shape(value)
    flat = np.empty(int(np.prod(shape)), dtype=object)
    count = 0

    def fill(part: Any, level: int) -> None:
        nonlocal count
        if level < len(shape):
            if not isinstance(part, list) or len(part) != shape[level]:
                raise Refusal(400, f"{name}: lists of several lengths or depths; expected those of one array")
            for one in part:
                fill(one, level + 1)
        else:
            flat[count] = _bytes(part, name)
            count += 1

    fill(value, 0)
    return flat.reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value or len(shape) > 32:
            break
        value = value[0]
    return tuple(shape)


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        raise Refusal(400, f'{name}: received {_shown(value)}; expected a string or {{"b64": "..."}}')
    text = value["b64"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, f"{name}: Unable to base64 decode {_shown(text)}") from None


def _numbers(value: Any, name: str, dtype: np.dtype) -> np.ndarray:
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        raise Refusal(400, f"{name}: lists of several lengths or depths; expected those of one array") from None
    taken = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[dtype.kind]
    if array.size and array.dtype.kind not in taken:
        raise Refusal(400, f"{name}: JSON Value: {_shown(value)} is not of expected type: {dtype.name}")
    if array.size and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise Refusal(400, f"{name}: received numbers that {dtype.name} has not: {_shown(value)}")
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if dtype.kind == "f" and np.isinf(converted).sum() > np.isinf(array).sum():
        raise Refusal(400, f"{name}: Cannot convert {_shown(value)} to {dtype.name} without loss of precision")
    return converted


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def write_outputs(outputs: Mapping[str, np.ndarray], row: bool) -> bytes:
    """Write an answer.

    Args:
        outputs: by name; strings as arrays of ``bytes`` objects.
        row: whether in rows.

    Returns:
        JSON. float32 numbers have the fewest digits that tell them from any other.

    Raises:
        Refusal: with status 400, for rows of outputs that do not all have the same number of them.

    Example:
        >>> write_outputs({"scores": np.array([0.1, 0.9], np.float32)}, row=True)
        b'{"predictions":[0.1,0.9]}'
    """
    columns = {name: _plain(values, name.endswith(_BYTES)) for name, values in sorted(outputs.items())}
    if not row:
        return to_json({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})
    counts = {name: values.shape[0] if values.ndim else None for name, values in outputs.items()}
    if len(set(counts.values())) != 1 or None in counts.values():
        told = ", ".join(f"{name} {count if count is not None else 'none'}" for name, count in counts.items())
        raise Refusal(400, f"has inconsistent batch size: rows of outputs are {told}; ask in columns: 'inputs'")
    if len(columns) == 1:
        return to_json({"predictions": next(iter(columns.values()))})
    rows = zip(*columns.values(), strict=True)
    return to_json({"predictions": [dict(zip(columns, values, strict=True)) for values in rows]})


def _plain(values: np.ndarray, as_bytes: bool) -> Any:
    """Return what orjson can write: an array, or for strings and what it has no way to write a list."""
    if values.dtype == object:
        write = (
            (lambda one: {"b64": base64.b64encode(one).decode()})
            if as_bytes
            else (lambda one: one.decode(errors="replace"))
        )
        return _nested(values, write)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        # JSON has no such numbers; TensorFlow Serving writes NaN and Infinity, as Python's own module does.
        return _nested(
            values.astype(str).astype(np.float64),
            lambda one: one if np.isfinite(one) else orjson.Fragment(json.dumps(one)),
        )
    return np.ascontiguousarray(values) if values.ndim else values[()]


def _nested(values: np.ndarray, write: Any) -> Any:
    return write(values.item()) if values.ndim == 0 else [_nested(np.asarray(one, object), write) for one in values]


def to_json(content: Any) -> bytes:
    """Write JSON, arrays included."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def write_error(message: str) -> bytes:
    """Write an error as TensorFlow Serving does."""
    return to_json({"error": message})
