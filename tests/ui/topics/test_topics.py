"""The page Layers, driven by Streamlit's own test harness."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from cnnapp.playground import connectivity, images, kernels, matrices, shifts
from cnnapp.playground.grids import number
from cnnapp.playground.windows import windows
from drawings import draw_shape
from pipelines.core.percent import percent

TOPICS = ("kernels", "strides", "connectivity", "pooling", "matrix", "shift")


def script() -> None:
    from ui.views import layers

    layers.page()


def open_topic(topic: str) -> AppTest:
    page = AppTest.from_function(script, default_timeout=60)
    page.query_params["topic"] = topic
    return run(page)


def run(page: AppTest) -> AppTest:
    page.run()
    assert not page.exception
    return page


def named(elements: Any, label: str) -> Any:
    """Return the one widget with a label."""
    (found,) = [element for element in elements if element.label == label]
    return found


def text_of(page: AppTest) -> str:
    return "\n".join(element.value for element in page.markdown)


def captions(page: AppTest) -> str:
    return "\n".join(element.value for element in page.caption)


def metrics(page: AppTest) -> list[tuple[str, str]]:
    return [(metric.label, metric.value) for metric in page.metric]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_opens_by_its_address_with_pictures_and_a_reference(topic: str):
    page = open_topic(topic)
    assert page.query_params["topic"] in (topic, [topic])
    assert not page.error
    pictures = page.get("image")
    assert len(pictures) >= 2
    shown = captions(page)
    for picture in pictures:
        alt = picture.proto.imgs[0].alt
        assert alt
        assert alt in shown
    assert "Goodfellow, Bengio and Courville, 2016" in shown


def test_an_unknown_topic_is_the_first_and_a_chosen_one_is_in_the_address():
    page = open_topic("nonsense")
    assert page.query_params["topic"] in ("kernels", ["kernels"])
    named(page.button_group, "Topic").set_value("connectivity")
    run(page)
    assert page.query_params["topic"] in ("connectivity", ["connectivity"])
    assert named(page.slider, "Tile: kernels that take turns")


def test_the_sum_behind_a_pixel_follows_kernel_and_pixel():
    page = open_topic("kernels")
    named(page.selectbox, "Kernel").set_value("sharpen")
    run(page)
    named(page.slider, "Pixel: row").set_value(30)
    named(page.slider, "Pixel: column").set_value(41)
    run(page)
    image = images.example("temple")
    answer = kernels.filtered(image, kernels.kernel("sharpen", 3))[29, 40]
    assert f"= {number(answer)}. The layer says **{number(answer)}**." in text_of(page)
    assert f"{number(image[29, 40])} · 5" in text_of(page)


def test_a_kernel_is_normalised_and_begun_again():
    page = open_topic("kernels")
    named(page.selectbox, "Kernel").set_value("sobel_x")
    named(page.button, "Normalise").click()
    run(page)
    np.testing.assert_allclose(page.data_editor[0].value.to_numpy(), kernels.kernel("sobel_x", 3) / 4)
    named(page.button, "Reset").click()
    run(page)
    np.testing.assert_allclose(page.data_editor[0].value.to_numpy(), kernels.kernel("sobel_x", 3))
    assert "They add up to 0." in captions(page)


def test_ones_own_image_is_used_and_a_broken_one_gets_one_line():
    page = open_topic("kernels")
    buffer = io.BytesIO()
    draw_shape("disc", 3).save(buffer, "PNG")
    page.file_uploader[0].set_value([("disc.png", buffer.getvalue(), "image/png")])
    run(page)
    row, column = (size // 2 for size in (21, 25))
    answer = kernels.filtered(images.grey(buffer.getvalue()), kernels.kernel("sobel_x", 3))[row - 1, column - 1]
    assert f"The layer says **{number(answer)}**" in text_of(page)
    page.file_uploader[0].set_value([("notes.png", b"no image", "image/png")])
    run(page)
    assert [error.value for error in page.error] == ["notes.png: is not an image that can be read"]


def test_the_arithmetic_of_sizes_follows_the_sliders():
    page = open_topic("strides")
    named(page.slider, "Input size").set_value(9)
    named(page.slider, "Kernel size").set_value(4)
    named(page.slider, "Dilation").set_value(2)
    named(page.selectbox, "Padding").set_value("full")
    named(page.selectbox, "Padding holds").set_value("edge")
    run(page)
    found = windows(9, 4, strides=2, padding="full", padding_mode="edge", dilation_rate=2)
    assert page.subheader[0].value == "9 x 9 in, 8 x 8 out" == f"9 x 9 in, {found.outputs} x {found.outputs} out"
    assert page.latex[1].value.replace("$", "").strip() == found.formula()[1]
    named(page.slider, "Output cell: row").set_value(8)
    named(page.slider, "Output cell: column").set_value(1)
    run(page)
    assert f"= **{found.sums()[7, 0]:.0f}**" in text_of(page)
    named(page.selectbox, "Padding").set_value("numbers")
    run(page)
    named(page.slider, "Padding before").set_value(3)
    run(page)
    assert "As given, p₁ = 3 before and p₂ = 1 after." in text_of(page)


def test_a_window_that_does_not_fit_is_said_and_the_controls_remain():
    page = open_topic("strides")
    named(page.slider, "Input size").set_value(2)
    named(page.selectbox, "Padding").set_value("valid")
    run(page)
    assert "must not be larger than the padded input" in page.error[0].value
    named(page.slider, "Kernel size").set_value(1)
    run(page)
    assert not page.error
    assert page.subheader[0].value == "2 x 2 in, 1 x 1 out"
    assert "Output cell: row: there is one" in captions(page)


def test_a_stack_tells_what_it_sees():
    page = open_topic("strides")
    named(page.slider, "Layers").set_value(4)
    run(page)
    table = page.table[0].value
    assert table["sees"].tolist()[-1] == "15 + (3 − 1) · 1 · 8 = 31"


def test_counts_are_those_of_the_layers():
    page = open_topic("connectivity")
    named(page.slider, "Inputs").set_value(10)
    named(page.slider, "Channels of the input").set_value(4)
    run(page)
    expected = []
    for kind in connectivity.KINDS:
        count = connectivity.count(kind, 10, channels=4)
        expected += [("Parameters", f"{count.parameters:,}"), ("Multiply-adds", f"{count.multiply_adds:,}")]
    assert metrics(page) == expected
    assert metrics(page)[0] == ("Parameters", "12")
    for choice, slider in (("what one output reads", "Output"), ("what one input reaches", "Input")):
        named(page.selectbox, "Show").set_value(choice)
        run(page)
        named(page.slider, slider).set_value(1)
        run(page)
    named(page.slider, "Inputs").set_value(2)
    run(page)
    assert "smaller kernel or more inputs" in page.error[0].value


def test_pooling_shows_its_numbers():
    page = open_topic("pooling")
    assert "`max(1, 3, 2, 4, 6, 1, 0, 2, 9) = 9`" in text_of(page)
    assert "`(1 + 3 + 2 + 4 + 6 + 1 + 0 + 2 + 9) / 9 = 3.11`" in text_of(page)
    named(page.slider, "Window").set_value(2)
    named(page.slider, "Stride").set_value(2)
    named(page.toggle, "Norms of the mean").set_value(False)
    named(page.select_slider, "p of the Lp norm").set_value("∞")
    run(page)
    assert "`max(|9|, |4|, |3|, |7|) = 9`" in text_of(page)
    assert f"`(|9|^2 + |4|^2 + |3|^2 + |7|^2)^(1/2) = {number(155**0.5)}`" in text_of(page)
    assert "Lp, p = ∞: 64 x 96, up to 254" in captions(page)


def test_matrix_and_layer_agree_on_the_page():
    page = open_topic("matrix")
    assert ("Largest difference", "0") in metrics(page)
    assert "a Toeplitz matrix" in text_of(page)
    named(page.button_group, "Input").set_value(2)
    run(page)
    named(page.button_group, "Kernels").set_value("tiled")
    named(page.slider, "Input size").set_value(6)
    run(page)
    found = matrices.matrix_product(np.array([[1.0, 2, 1], [0, 3, 0], [-1, -2, -1]]), (6, 6), kind="tiled")
    assert metrics(page) == [
        ("Weights", "36"),
        ("Entries with a weight", percent(found.share, 1)),
        ("Largest difference", "0"),
    ]
    assert "every 2 outputs on each axis" in text_of(page)
    assert "Kernel number q" in text_of(page)
    table = page.dataframe[-1].value
    assert table["layer"].tolist() == found.layer_output.tolist()


@pytest.mark.parametrize("kind", shifts.KINDS)
def test_equivariance_is_judged_as_measured(kind: str):
    page = open_topic("shift")
    named(page.selectbox, "Layer").set_value(kind)
    for columns, rows in ((4, -2), (3, 0)):
        named(page.slider, "Shift to the right").set_value(columns)
        named(page.slider, "Shift downwards").set_value(rows)
        run(page)
        found = shifts.shift_test(images.example("temple"), kind, rows, columns)
        assert metrics(page) == [
            ("Largest difference inside", number(found.largest(border=False))),
            ("Largest difference at the border", number(found.largest(border=True))),
        ]
        verdict = page.success if found.expected else page.warning
        assert found.reason in verdict[0].value
        assert verdict[0].value.startswith("Equivariance holds" if found.expected else "Equivariance breaks")


def test_round_the_border_equivariance_holds_everywhere():
    page = open_topic("shift")
    named(page.button_group, "What comes in at the border").set_value(True)
    run(page)
    assert page.success[0].value.startswith("Equivariance holds everywhere.")
