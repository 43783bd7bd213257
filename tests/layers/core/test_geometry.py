import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer_checks import reference_pads
from layers.core.geometry import ConvGeometry


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "pads", "output"),
    [
        (32, 5, 1, 1, "valid", (0, 0), 28),
        (7, 3, 3, 1, "valid", (0, 0), 2),  # does not fit, and is floored
        (5, 3, 1, 1, "same", (1, 1), 5),
        (5, 2, 1, 1, "same", (0, 1), 5),  # the odd pixel comes after
        (6, 3, 2, 1, "same", (0, 1), 3),
        (7, 3, 2, 1, "same", (1, 1), 4),
        (6, 1, 3, 1, "same", (0, 0), 2),
        (5, 3, 1, 2, "same", (2, 2), 5),
        (3, 2, 1, 1, "full", (1, 1), 4),
        (3, 2, 1, 3, "full", (3, 3), 6),
        (5, 3, 1, 2, "causal", (4, 0), 5),
        (5, 3, 2, 1, 2, (2, 2), 4),
        (5, 4, 1, 1, ((0, 3),), (0, 3), 5),
    ],
)
def test_known_sizes(size, kernel, stride, dilation, padding, pads, output):
    geometry = ConvGeometry((kernel,), stride, dilation, padding)
    assert geometry.pads((size,)) == (pads,)
    assert geometry.output_sizes((size,)) == (output,)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5), st.integers(1, 4))
def test_same_is_the_ceiling_and_tensorflows_padding(size, kernel, stride, dilation):
    geometry = ConvGeometry((kernel,), stride, dilation, "same")
    assert geometry.output_sizes((size,)) == (-(-size // stride),)
    assert geometry.pads((size,)) == (reference_pads(size, kernel, stride, dilation, "same"),)


@given(
    st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4)
)
def test_outputs_are_the_positions_where_the_window_fits(size, kernel, stride, dilation, before, after):
    geometry = ConvGeometry((kernel,), stride, dilation, ((before, after),))
    starts = [j for j in range(0, 100, stride) if j + (kernel - 1) * dilation < before + size + after]
    if starts:
        assert geometry.output_sizes((size,)) == (len(starts),)
    else:
        with pytest.raises(ValueError, match="kernel_size"):
            geometry.output_sizes((size,))


def test_unknown_sizes_stay_unknown():
    geometry = ConvGeometry((3, 3, 3), (1, 2, 2), 1, "same")
    assert geometry.output_sizes((None, None, 8)) == (None, None, 4)
    assert geometry.pads((None, None, 8)) == ((1, 1), None, (0, 1))
    assert ConvGeometry((3, 3), 2, 1, "full").pads((None, None)) == ((2, 2), (2, 2))


def test_arguments_are_written_out_for_every_axis():
    geometry = ConvGeometry((3, 5), 2, [1, 2], "SAME", "Reflect")
    assert geometry == ConvGeometry((3, 5), (2, 2), (1, 2), "same", "reflect")
    assert (geometry.rank, geometry.extent, geometry.positions) == (2, (3, 9), 15)
    assert ConvGeometry((3, 3), padding=[[0, 1], [2, 3]]).padding == ((0, 1), (2, 3))
    assert ConvGeometry((np.int64(3),), padding=np.int32(2)).padding == ((2, 2),)


def test_a_kernel_larger_than_the_padded_input_is_refused_with_all_sizes():
    geometry = ConvGeometry((3, 7), dilation_rate=(1, 2), padding=1)
    with pytest.raises(ValueError, match=r"kernel_size=\(3, 7\).*spans 13.*axis 1.*\(9, 10\).*have 12"):
        geometry.output_sizes((9, 10))


@pytest.mark.parametrize("padding", ["valid", "same", "full", "causal", 3])
def test_an_empty_axis_is_refused(padding):
    with pytest.raises(ValueError, match="kernel_size"):
        ConvGeometry((1,), padding=padding).output_sizes((0,))


@pytest.mark.parametrize(("mode", "reach"), [("reflect", 3), ("symmetric", 4), ("wrap", 4), ("edge", 9)])
def test_padding_reaches_as_far_as_its_mode_lets_it(mode, reach):
    assert ConvGeometry((2,), padding=reach, padding_mode=mode).pads((4,)) == ((reach, reach),)
    if mode != "edge":
        geometry = ConvGeometry((2,), padding=((0, reach + 1),), padding_mode=mode)
        with pytest.raises(ValueError, match=rf"`padding_mode` '{mode}' .*at most {reach} .*size 4.*axis 0"):
            geometry.pads((4,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": (0, 3)}, r"`kernel_size` must be .*kernel_size=\(0, 3\)"),
        ({"kernel_size": (True, 3)}, "kernel_size"),
        ({"strides": 0}, "`strides` must be .*strides=0"),
        ({"strides": (1, 2, 3)}, r"2 of them.*strides=\(1, 2, 3\)"),
        ({"dilation_rate": 1.5}, "dilation_rate=1.5"),
        ({"dilation_rate": (1, "a")}, r"dilation_rate=\(1, 'a'\)"),
        ({"padding": "some"}, "`padding` must be one of valid, same, full, causal.*padding='some'"),
        ({"padding": -1}, "padding=-1"),
        ({"padding": (1, 2)}, r"padding=\(1, 2\)"),
        ({"padding": ((1, 2),)}, r"2 \(before, after\) pairs.*padding=\(\(1, 2\),\)"),
        ({"padding": ((0, -1), (0, 0))}, "padding="),
        ({"padding": None}, "padding=None"),
        ({"padding_mode": "mirror"}, "constant, reflect, symmetric, edge, wrap.*padding_mode='mirror'"),
        ({"padding_mode": None}, "padding_mode=None"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvGeometry(**{"kernel_size": (3, 3), **arguments})


def test_sizes_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"2 sizes.*\(5,\)"):
        ConvGeometry((3, 3)).output_sizes((5,))


@given(
    st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4)
)
def test_padding_is_named_where_the_name_pads_alike(size, kernel, stride, dilation, before, after):
    geometry = ConvGeometry((kernel,), stride, dilation, ((before, after),))
    named = geometry.with_padding_named((size,))
    assert named.pads((size,)) == geometry.pads((size,))
    same = reference_pads(size, kernel, stride, dilation, "same")
    assert (named.padding == geometry.padding) == ((before, after) not in ((0, 0), same))
    assert geometry.with_padding_named((None,)).pads((size,)) == geometry.pads((size,))


@given(
    st.integers(3, 9),
    st.integers(3, 9),
    st.sampled_from(["constant", "reflect", "symmetric", "edge", "wrap"]),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 3),
    st.integers(1, 2),
    st.booleans(),
)
def test_sources_are_the_positions_that_windows_of_numbered_pixels_show(
    height, width, mode, pair, stride, dilation, flip
):
    geometry = ConvGeometry((2, 2), stride, dilation, (pair, (1, 0)), mode)
    image = np.arange(height * width).reshape(height, width)
    image = np.pad(image, (pair, (1, 0)), mode, **({"constant_values": -1} if mode == "constant" else {}))
    windows = np.lib.stride_tricks.sliding_window_view(image, (1 + dilation, 1 + dilation))[::stride, ::stride]
    windows = windows[..., ::dilation, ::dilation].reshape(-1, 4)
    sources = geometry.sources((height, width), flip)
    np.testing.assert_array_equal(sources[:, ::-1] if flip else sources, windows)
