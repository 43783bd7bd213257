"""The contract of layers: which tests hold, for a whole family, what any backend could get wrong.

These run on a second backend in `make test`, with the images alone of a family that is there at every rank; all
others do in `make test-all`. The tests of different families have the same names.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CONTRACT = (
    "test_equals_the_loops",
    "test_mean_and_maximum_equal_the_loops",
    "test_norms_equal_the_loops",
    "test_maxout_equals_the_loops",
    "test_equals_numpy_at_every_rank",
    "test_outputs_and_averages_are_those_of_keras",
    "test_full_rank_is_the_layer",
    "test_is_the_convolution_with_the_kernel_of_both",
    "test_is_a_scaled_sum",
    "test_valid_is_the_unshared_convolution",
    "test_gradients_in_float64_are_the_finite_differences",
    "test_the_transpose_is_the_gradient",
    "test_units_see_what_their_gradient_depends_on",
    "test_channels_first_is_the_same_transposed",
    "test_empty_batch_and_batch_of_one",
    "test_low_precision",
    "test_dense_equals_crops_at_the_own_stride_at_one_and_between",
)
_OTHER_RANKS = re.compile(r"\[.*[13]D")
_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what belongs to the contract."""
    for item in items:
        name = getattr(item, "originalname", item.name)
        if _HERE in item.path.parents and name in CONTRACT and not _OTHER_RANKS.search(item.name):
            item.add_marker("contract")
