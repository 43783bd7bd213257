"""Explanations and what units see: where they lie in the image, against brute force and the network itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import cnnapp
from cnnapp.explain.contact_sheet import contact_sheet
from cnnapp.explain.decisions import decide
from cnnapp.explain.evidence import Explanation
from cnnapp.explain.feature_maps import FeatureMaps
from cnnapp.explain.filters import Filters
from cnnapp.explain.gradients import log_odds, of_unit
from cnnapp.explain.heatmap import draw_heat
from cnnapp.explain.network_input import Shown, show
from cnnapp.explain.receptive_view import Sight, draw_boxes
from drawings import draw_scene, draw_shape
from layers.analysis.receptive_field import unit_support
from pipelines.artifacts.golden import read_golden
from pipelines.core.errors import ConfigError, DataError, ModelError
from pipelines.images import image_io
from profiles import examples

KINDS = {"classification": "trained", "detection": "detector", "segmentation": "segmenter"}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> cnnapp.Predictor:
    return cnnapp.Predictor(request.getfixturevalue(KINDS[request.param]).path)


def picture_for(model: cnnapp.Predictor) -> Image.Image:
    return draw_shape("disc", 5) if model.card.task == "classification" else draw_scene(7, (37, 50))[0]


convolutions = st.tuples(
    st.integers(1, 4), st.integers(1, 3), st.sampled_from(["same", "valid"]), st.booleans(), st.integers(1, 2)
)


@settings(max_examples=examples(25))
@given(layers=st.lists(convolutions, min_size=1, max_size=3), place=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_the_field_is_the_set_of_pixels_whose_change_changes_the_unit(layers, place):
    """Linear networks of random weights: each pixel is changed by itself, and the unit answers otherwise or not."""
    size = (11, 13)
    x = inputs = keras.Input((*size, 1))
    for number, (kernel, stride, padding, pooled, rate) in enumerate(layers):
        rate = rate if stride == 1 else 1
        spans = (kernel - 1) * rate + 1
        if padding == "valid" and min(x.shape[1:3]) < spans:
            break
        weights = keras.initializers.RandomUniform(0.5, 1.5, seed=number)
        x = keras.layers.Conv2D(
            2, kernel, stride, padding, dilation_rate=rate, name=f"conv{number}", kernel_initializer=weights
        )(x)
        if pooled and min(x.shape[1:3]) >= 2:
            x = keras.layers.AveragePooling2D(2, name=f"pool{number}")(x)
    if x is inputs:
        return
    model = keras.Model(inputs, x)
    layer = model.layers[-1].name
    position = tuple(int(share * (count - 1)) for share, count in zip(place, x.shape[1:3], strict=True))
    pixels = np.random.default_rng(0).uniform(1, 2, (*size, 1)).astype("float32")
    changed = np.repeat(pixels[None], size[0] * size[1], 0)
    changed.reshape(len(changed), -1)[np.arange(len(changed)), np.arange(len(changed))] += 100
    before = model(pixels[None]).numpy()[0, position[0], position[1]]
    after = model(changed).numpy()[:, position[0], position[1]]
    moved = (np.abs(after - before).max(-1) > 1e-2).reshape(size)

    support = unit_support(model, layer, position)
    if not moved.any():  # it sees nothing but what is filled in around the image
        assert moved[support].size == 0
        return
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    assert support == (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    maps = SimpleNamespace(input=inputs, output={layer: x})
    _, influence = of_unit(maps, layer, pixels, position)
    np.testing.assert_array_equal(influence > 1e-6, moved)
    # Drawn on the image: the first pixel of the image has its border at 0.
    shown = Shown(pixels, size, (0.0, 0.0), (1.0, 1.0))
    assert shown.box(*support) == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def test_influence_is_the_derivative_taken_by_differences():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((7, 8, 3)), keras.layers.Conv2D(4, 3, activation="tanh", name="one", dtype="float64"),
         keras.layers.Conv2D(3, 2, activation="tanh", name="two", dtype="float64")]
    )  # fmt: skip
    pixels = np.random.default_rng(1).normal(size=(7, 8, 3)).astype("float32")
    maps = SimpleNamespace(input=model.inputs[0], output={"two": model.outputs[0]})
    values, influence = of_unit(maps, "two", pixels, (2, 3))

    def strength(image: np.ndarray) -> float:
        return float(np.linalg.norm(model(image[None]).numpy()[0, 2, 3]))

    assert np.linalg.norm(values) == pytest.approx(strength(pixels), rel=1e-6)
    step = 1e-3
    expected = np.zeros((7, 8, 3))
    for index in np.ndindex(7, 8, 3):
        there = np.zeros((7, 8, 3), "float32")
        there[index] = step
        expected[index] = (strength(pixels + there) - strength(pixels - there)) / (2 * step)
    np.testing.assert_allclose(influence, np.linalg.norm(expected, axis=-1), atol=2e-4)


def test_log_odds_are_those_of_the_probability():
    logits = tf.constant([0.3, -2.0, 1.1, 0.0])
    shares = tf.nn.softmax(logits).numpy()
    for class_id, share in enumerate(shares):
        assert float(log_odds(logits, class_id)) == pytest.approx(np.log(share / (1 - share)), abs=1e-5)
    assert float(log_odds(tf.constant([0.0, 200.0]), 1)) == 200.0  # where the probability is 1 in float32


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    corner=st.tuples(st.integers(-4, 6), st.integers(-4, 6)),
    cell=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    counts=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_heat_lies_on_its_region_and_nowhere_else(size, corner, cell, counts):
    """At full opacity a drawn pixel is grey 255 outside the region, and inside it the colour of its own cell."""
    height, width = size
    values = np.linspace(0.05, 1, counts[0] * counts[1]).reshape(counts).astype("float32")
    region = (corner[1], corner[0], corner[1] + cell[1] * counts[1], corner[0] + cell[0] * counts[0])
    white = Image.new("RGB", (width, height), "white")
    drawn = np.asarray(draw_heat(white, values, region, (0.0, 1.0), 1.0, side=1)).astype(int)
    alone = [np.asarray(draw_heat(Image.new("RGB", (1, 1)), np.full((1, 1), value), (0, 0, 1, 1), (0.0, 1.0), 1.0, 1))
             for value in values.ravel()]  # fmt: skip
    for row in range(height):
        for column in range(width):
            inside = region[1] <= row < region[3] and region[0] <= column < region[2]
            number = (row - region[1]) // cell[0] * counts[1] + (column - region[0]) // cell[1]
            expected = alone[number][0, 0] if inside else [255, 255, 255]
            np.testing.assert_array_equal(drawn[row, column], expected)


def test_values_of_both_signs_are_of_two_colours_and_zero_is_none():
    grey = Image.new("RGB", (3, 1), (90, 90, 90))
    against, neutral, speaking = np.asarray(
        draw_heat(grey, np.array([[-2.0, 0.0, 2.0]]), (0, 0, 3, 1), (-2.0, 2.0), 1.0, side=1)
    )[0].astype(int)
    assert against[2] > against[0] + 100
    assert speaking[0] > speaking[2] + 100
    assert len(set(neutral)) == 1
    with_scale = draw_heat(grey, np.zeros((1, 3)), (0, 0, 3, 1), (-2.0, 2.0), side=240, unit="evidence")
    assert with_scale.height > 80
    large = draw_heat(Image.new("RGB", (400, 200)), np.zeros((2, 2)), (0, 0, 400, 200), (0.0, 1.0), largest=100)
    assert large.size == (100, 50)


@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(40, 90), (90, 40)])
def test_a_bright_spot_lies_where_the_network_is_said_to_see_it(resize: str, size: tuple[int, int]):
    card = SimpleNamespace(
        task="classification", input={"height": 16, "width": 24, "channels": 1, "resize": resize}, training={}
    )
    pixels = np.zeros(size, np.uint8)
    first, begin = size[0] // 2 - 6, size[1] // 2 - 7  # near the middle, which no way of resizing cuts away
    pixels[first : first + 8, begin : begin + 8] = 255
    shown = show(card, pixels, "spot")
    assert shown.pixels.shape == (16, 24, 1)
    row, column = np.unravel_index(shown.pixels[..., 0].argmax(), (16, 24))
    left, top, right, bottom = shown.box(slice(row, row + 1), slice(column, column + 1))
    assert left < begin + 8
    assert right > begin
    assert top < first + 8
    assert bottom > first
    heat = draw_heat(Image.fromarray(pixels).convert("RGB"), shown.pixels[..., 0], shown.region, (0, 255), 1.0, side=1)
    bright = np.asarray(heat).astype(int).sum(-1)
    if resize == "crop":  # what was cut away is not covered, and stays as it is: here black
        assert bright[0, 0] == 0
    places = np.argwhere(bright == bright.max()) + 0.5
    assert first <= places[:, 0].mean() <= first + 8
    assert begin <= places[:, 1].mean() <= begin + 8


def test_the_region_of_an_explanation_is_what_the_network_is_shown(model: cnnapp.Predictor):
    picture = picture_for(model)
    shown = model.inside.shown(picture)
    found = model.explain(picture)
    assert shown.size == (picture.height, picture.width)
    left, top, right, bottom = found.region
    if model.card.task == "segmentation":
        assert found.evidence.shape == shown.size
    # A point of the image goes into the network's pixels and back.
    row, column = shown.place(10.0, 6.0)
    around = shown.box(slice(round(row), round(row) + 1), slice(round(column), round(column) + 1))
    assert around[0] - 1e-6 <= 10 <= around[2] + 1e-6
    assert around[1] - 1e-6 <= 6 <= around[3] + 1e-6
    assert left <= 0 < right
    assert top <= 0 < bottom
    drawn = found.draw(picture)
    assert drawn.width % picture.width == 0
    bare, heated = (np.asarray(found.draw(picture, opacity, scale=False)).astype(int) for opacity in (0.0, 1.0))
    assert not np.ptp(bare, axis=-1).any()
    assert np.ptp(heated, axis=-1).any()


def test_explanations_name_the_class_of_the_answer_and_take_any_other(model: cnnapp.Predictor):
    picture = picture_for(model)
    answer = model.predict(picture)[0]
    found = model.explain(picture, name="a picture")
    assert found.source == "a picture"
    if model.card.task == "classification":
        assert found.class_name == answer.class_name
        assert found.score == pytest.approx(answer.score, abs=1e-5)
    for class_id, name in enumerate(model.card.classes):
        each = model.explain(picture, name)
        assert (each.class_id, each.class_name, each.how) == (class_id, name, model.card.evidence)
        assert each.meaning
        assert each.limits[0] <= each.evidence.min()
        assert each.limits[1] >= each.evidence.max()
        assert np.array(each.to_json()["evidence"]).shape == each.evidence.shape
        x, _ = each.best
        assert found.region[0] <= x <= found.region[2]
        assert name in str(each)
    with pytest.raises(ConfigError, match=r"unknown class 'dics'.*Did you mean 'disc'"):
        model.explain(picture, "dics")
    with pytest.raises(DataError, match="bad: is not an image that can be read"):
        model.explain(b"\x89PNG nothing", name="bad")
    with pytest.raises(DataError, match="there is no such file"):
        model.explain("nowhere.png")


def test_features_are_in_order_and_those_of_the_network(model: cnnapp.Predictor):
    picture = picture_for(model)
    found = model.features(picture)
    inside = model.inside
    assert tuple(found) == inside.layers
    names = [layer.name for part in (inside.model, *inside.model.layers) if hasattr(part, "layers")
             for layer in part.layers]  # fmt: skip
    places = [names.index(name) for name in found]
    assert places == sorted(places)
    outputs = inside.maps(inside.shown(picture).pixels[None])
    for name in (inside.layers[0], inside.layers[-1]):
        np.testing.assert_allclose(found[name], outputs[name][0], atol=2e-4)
    assert found.draw(inside.layers[1]).width == 960
    with pytest.raises(ConfigError, match="unknown layer 'nothing'"):
        found.draw("nothing")
    kernel = inside.filters().kernel
    assert kernel.shape[2] == model.inside.model.input_shape[-1]
    assert any(value.shape == kernel.shape and np.array_equal(value, kernel) for value in model.served.weights())


def test_a_field_holds_all_influence_and_grows_from_layer_to_layer(model: cnnapp.Predictor):
    picture = picture_for(model)
    inside, shown = model.inside, model.inside.shown(picture)
    growth = inside.growth(shown, 20.5, 11.5)
    assert tuple(growth) == inside.layers
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in growth.values()]
    assert areas[-1] > areas[1] > 0
    for layer in (inside.layers[1], inside.layers[len(inside.layers) // 2], inside.layers[-1]):
        unit = inside.unit(shown, layer, inside.nearest(shown, layer, 20.5, 11.5))
        assert unit.sight.box == growth[layer]
        outside = unit.sight.influence.copy()
        outside[unit.sight.support] = 0
        assert not outside.any()
        assert 0 <= unit.sight.share() <= 1
        assert unit.sight.draw(picture, point=(20.5, 11.5)).width % picture.width == 0
    with pytest.raises(ConfigError, match="unknown layer"):
        inside.nearest(shown, "nothing", 0, 0)
    with pytest.raises(ConfigError, match="position: received"):
        inside.unit(shown, inside.layers[0], (10_000, 0))


@pytest.mark.parametrize("place", [(0.0, 0.0), (31.5, 20.5), (49.9, 36.9)])
def test_the_decision_of_a_pixel_is_the_served_one(segmenter, place: tuple[float, float]):
    model = cnnapp.Predictor(segmenter.path)
    picture = picture_for(model)
    data = tf.constant(image_io.read(picture))
    probabilities = model.served.run("probabilities", image_bytes=data)["probabilities"].numpy()
    inside, shown = model.inside, model.inside.shown(picture)
    found = decide(inside, shown, *place)
    served = probabilities[int(place[1]), int(place[0])]
    np.testing.assert_allclose(found.scores, served, atol=1e-4)
    assert found.class_id == served.argmax()
    assert found.top(1) == [(found.class_name, found.score)]
    assert decide(inside, shown, *place, "cross").class_name == "cross"
    outside = found.sight.influence.copy()
    outside[found.sight.support] = 0
    assert not outside.any()
    assert found.sight.influence.any()
    with pytest.raises(ConfigError, match="unknown class"):
        decide(inside, shown, *place, "nothing")


def test_the_decision_of_a_window_is_its_score_and_depends_on_the_window_alone(detector):
    model = cnnapp.Predictor(detector.path)
    picture = picture_for(model)
    scores = model.score_map(picture)
    inside, shown = model.inside, model.inside.shown(picture)
    step = int(model.card.input["stride"]) / float(model.card.training["scale"])
    for row, column in ((0, 0), (2, 3), (scores.shape[0] - 1, scores.shape[1] - 1)):
        point = min((column + 0.5) * step, picture.width - 1), min((row + 0.5) * step, picture.height - 1)
        found = decide(inside, shown, *point)
        np.testing.assert_allclose(found.scores, scores[row, column], atol=1e-4)
        rows, columns = found.sight.support
        assert (rows.stop - rows.start, columns.stop - columns.start) == tuple(model.card.input["window"])
        left, top, right, bottom = found.sight.box
        assert (left + right) / 2 == pytest.approx((column + 0.5) * step, abs=step)
        assert (top + bottom) / 2 == pytest.approx((row + 0.5) * step, abs=step)


def test_what_reaches_a_classifiers_answer_through_its_units_adds_up(trained):
    """The derivative of the class's log odds is the sum of what passes through every unit of the last maps."""
    from cnnapp.explain.gradients import of

    model = cnnapp.Predictor(trained.path)
    picture = picture_for(model)
    inside, shown = model.inside, model.inside.shown(picture)
    evidence = inside.evidence
    found = decide(inside, shown, 3.0, 4.0, "disc")
    np.testing.assert_allclose(found.scores, model.predict(picture)[0].scores, atol=1e-5)
    assert evidence.layer in found.what
    _, whole = of(evidence.both, shown.pixels, lambda outputs: log_odds(outputs[1][0], found.class_id))
    parts = np.zeros_like(whole)
    rows, columns = (grid.count for grid in evidence.grids)
    for row in range(rows):
        for column in range(columns):
            y, x = ((index + 0.5) * size / count for index, size, count in
                    zip((row, column), shown.size, (rows, columns), strict=True))  # fmt: skip
            parts += decide(inside, shown, x, y, "disc").sight.influence
    # Lengths of derivatives: together at least that of their sum, wherever there is any.
    assert (parts >= whole - 1e-6).all()
    assert whole.any()


def test_models_of_earlier_versions_say_how_to_get_what_they_lack(trained, monkeypatch: pytest.MonkeyPatch):
    model = cnnapp.Predictor(trained.path)
    monkeypatch.setattr(model.served, "has", lambda signature: False)
    for ask in (model.explain, model.features):
        with pytest.raises(ModelError, match="cnnapp export shapes --format saved_model"):
            ask(draw_shape("disc", 1))


@pytest.mark.parametrize("fixture", ["detector", "segmenter"])
def test_images_whose_maps_would_not_fit_are_refused(
    fixture: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    from pipelines.artifacts import memory

    model = cnnapp.Predictor(request.getfixturevalue(fixture).path)
    large = Image.new("L", (6000, 5000))
    with pytest.raises(DataError, match=r"wide: the maps of all layers for 6000 x 5000 pixels.* such as"):
        model.features(large, name="wide")
    with pytest.raises(DataError, match="the maps of all layers"):
        model.inside.shown(large)
    monkeypatch.setattr(memory, "available", lambda: 1 << 20)
    with pytest.raises(DataError, match=r"needs .* GiB of memory; only"):
        model.explain(large)


def test_the_sheet_says_how_many_are_left_out():
    maps = np.random.default_rng(0).normal(size=(4, 6, 70)).astype("float32")
    found = FeatureMaps("a.png", {"conv": maps, "flat": np.ones((2, 2, 1), "float32")})
    few = FeatureMaps("a.png", {"conv": maps[..., :64]})
    assert found.draw("conv").height > few.draw("conv").height
    np.testing.assert_array_equal(found.draw("flat").crop((10, 45, 100, 100)).getextrema()[0][0], 68)  # viridis's first
    sheet = np.asarray(contact_sheet([np.full((2, 2, 3), 7 * n, np.uint8) for n in range(3)], "t", 3, 4, 400))
    for number in range(3):
        assert (sheet[60, 6 + number * 98 + 40] == 7 * number).all()
    for channels in (1, 3):
        drawn = Filters("conv", np.random.default_rng(1).normal(size=(5, 5, channels, 66)).astype("float32")).draw()
        assert drawn.width == 960
    with pytest.raises(ValueError, match="expected \\(height, width, 1 or 3, filters\\)"):
        Filters("conv", np.zeros((3, 3, 8, 8)))
    with pytest.raises(ValueError, match="expected \\(rows, columns\\)"):
        Explanation("a", 0, "b", 0.5, np.zeros(3), (0, 0, 1, 1), "Grad-CAM")


def test_boxes_are_drawn_where_they_are():
    """On a black image enlarged 20 times: the outline lies just inside the pixels of the box."""
    drawn = np.asarray(draw_boxes(Image.new("RGB", (48, 40)), [], (10.0, 6.0, 30.0, 26.0), side=960)).astype(int)
    yellow = (drawn[..., 0] > 200) & (drawn[..., 1] > 200)
    rows, columns = np.flatnonzero(yellow.any(1)), np.flatnonzero(yellow.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (120, 519, 200, 599)
    beyond = np.asarray(draw_boxes(Image.new("RGB", (48, 40)), [(60.0, 0.0, 70.0, 9.0)], (-9.0, -9.0, 99.0, 99.0)))
    assert (beyond[0, 400] > 200)[:2].all()


def test_a_sight_is_as_large_as_what_moves_it():
    influence = np.array([[0.0, 4.0], [4.0, 1.0]], "float32")
    sight = Sight((0, 0, 2, 2), (slice(0, 2), slice(0, 2)), influence, (0, 0, 2, 2))
    assert (sight.share(0.4), sight.share(0.8), sight.share(1.0)) == (0.25, 0.5, 0.75)
    silent = Sight((0, 0, 2, 2), (slice(0, 2), slice(0, 2)), np.zeros((2, 2), "float32"), (0, 0, 2, 2))
    assert silent.share() == 0


def test_grad_cam_has_a_scale_of_its_own_and_scores_have_one(tmp_path: Path):
    for how, evidence, limits in (
        ("Grad-CAM of conv", [[0.0, 3.0]], (0.0, 3.0)),
        ("class activation map of conv", [[-4.0, 3.0]], (-4.0, 4.0)),
        ("score of the class in every window", [[0.2, 0.3]], (0.0, 1.0)),
        ("probability of the class at every pixel", [[0.2, 0.3]], (0.0, 1.0)),
        ("Grad-CAM of conv", [[0.0, 0.0]], (0.0, 1.0)),
    ):
        found = Explanation("a.png", 0, "a", 0.5, np.array(evidence, "float32"), (0.0, 0.0, 2.0, 1.0), how)
        assert found.limits == limits
        assert found.meaning
        Image.new("RGB", (2, 1)).save(tmp_path / "a.png")
        assert found.draw(tmp_path / "a.png").width == 960


def test_golden_examples_are_explained(model: cnnapp.Predictor):
    for data in read_golden(model.served.directory).inputs[:2]:
        assert np.isfinite(model.explain(data).evidence).all()
