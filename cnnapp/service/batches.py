"""Requests that are answered in one call of the model, and the answer of each cut out of that."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from cnnapp.service.protocol import Request
from cnnapp.service.signatures import Signature

__all__ = ["count", "join", "kind", "split"]


def kind(request: Request) -> Hashable:
    """Return what two requests must have in common to be answered in one call; None for one that is always alone.

    It is the signature, every option, and the shape of what is to be joined.

    Args:
        request: of any signature.
    """
    signature = request.signature
    if not signature.joins:
        return None
    options = tuple((name, request.inputs[name].shape, request.inputs[name].tobytes()) for name in signature.defaults)
    shapes = tuple((name, request.inputs[name].shape[1:]) for name in signature.required)
    counts = {request.inputs[name].shape[0] for name in signature.required}
    return (signature.name, options, shapes) if len(counts) == 1 else None


def count(request: Request) -> int:
    """Return how many images, or whatever else its rows are, a request asks for."""
    first = request.inputs[request.signature.required[0]]
    return first.shape[0] if request.signature.joins else 1


def join(requests: Sequence[Request]) -> dict[str, np.ndarray]:
    """Return the inputs of one call for several requests of one kind."""
    first = requests[0]
    if len(requests) == 1:
        return dict(first.inputs)
    joined = {name: np.concatenate([request.inputs[name] for request in requests]) for name in first.signature.required}
    return {name: joined.get(name, values) for name, values in first.inputs.items()}


def split(
    outputs: Mapping[str, np.ndarray], counts: Sequence[int], signature: Signature
) -> list[dict[str, np.ndarray]]:
    """Cut the outputs of one call into those of its requests.

    Maps are as large as the largest image of a call; of each request they are as large as its own largest.

    Args:
        outputs: by name.
        counts: how many rows each request has, in order.
        signature: that was asked.

    Returns:
        Outputs by name, one mapping a request.

    Example:
        >>> from cnnapp.service.signatures import TensorSpec
        >>> scores = Signature("serving_default", {}, {"scores": TensorSpec("float32", (None,))}, {})
        >>> split({"scores": np.array([0.1, 0.2, 0.3])}, [1, 2], scores)
        [{'scores': array([0.1])}, {'scores': array([0.2, 0.3])}]
    """
    if len(counts) == 1:
        return [dict(outputs)]
    ends = np.cumsum(counts)
    found = []
    for start, end in zip(ends - counts, ends, strict=True):
        own = {name: values[start:end] for name, values in outputs.items()}
        if signature.padded and "sizes" in own:
            height, width = own["sizes"].max(axis=0) if len(own["sizes"]) else (0, 0)
            own |= {name: own[name][:, :height, :width] for name in signature.padded}
        found.append(own)
    return found
