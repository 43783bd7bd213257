"""Inputs that no model has a sensible answer for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnapp.service import option_ranges
from cnnapp.service.protocol import Refusal

GOOD = {
    "score_threshold": [0, 0.5, 1],
    "overlap_threshold": [0, 0.5, 1],
    "soft_nms_sigma": [0, 0.5, 40],
    "scale": [0.01, 1, 16],
    "scales": [[1], [16, 0.1], [1] * 32],
    "class_id": [-1, 0, 9],
}
BAD = {
    "score_threshold": [-0.1, 1.1],
    "overlap_threshold": [-0.1, 1.1],
    "soft_nms_sigma": [-1],
    "scale": [0, -1, 17, 1000],
    "scales": [[], [0], [1, -1], [17], [1] * 33],
    "class_id": [-2, 10, 999],
}
CASES = [(name, value) for name, values in BAD.items() for value in values]
UNENDING = st.sampled_from([np.nan, np.inf, -np.inf])


def array(name: str, value: object) -> np.ndarray:
    return np.array(value, np.int64 if name == "class_id" else np.float32)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_in_its_range_passes(name: str):
    for value in GOOD[name]:
        option_ranges.check({name: array(name, value), "image_bytes": np.array([b""], object)}, classes=10)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_what_is_out_of_its_range_is_refused_by_name(name: str, value: object):
    with pytest.raises(Refusal) as refusal:
        option_ranges.check({"scale": np.float32(1), name: array(name, value)}, classes=10)
    assert refusal.value.status == 400
    assert refusal.value.message.startswith(f"{name}: received ")


@given(st.sampled_from([name for name in BAD if name != "class_id"]), UNENDING)
def test_what_is_no_number_is_refused(name: str, value: float):
    with pytest.raises(Refusal, match=f"^{name}: received (nan|inf|-inf)"):
        option_ranges.check({name: array(name, [1, value] if name == "scales" else value)}, classes=10)
