"""An image answered piece by piece: equal to the whole, blended where it cannot be, written in bands, and resumed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ConfigError, ModelError
from pipelines.labelling import LabelSpec, label, scores
from pipelines.models import SEGMENTERS
from pipelines.mosaic import Mosaic
from pipelines.mosaic_files import open_mask, write_mask
from pipelines.rasters import open_raster
from pipelines.segmentation import _geometry
from pipelines.tiling import halo_of

Served = Any


def served(name: str, scale: float = 1.0, channels: int = 3, **options: Any) -> Served:
    """A network with random weights, in what a saved model looks like from outside."""
    keras.utils.set_random_seed(1)
    model = SEGMENTERS[name](channels, 4, **options)
    for layer in model.layers:  # what normalization has learned, so that nothing is the identity
        if "norm" in layer.name:
            dice = np.random.default_rng(len(layer.name))
            layer.set_weights([dice.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    multiple, stride = _geometry(model)
    spec = LabelSpec(scale, channels, multiple, stride)
    record = spec.to_json() | {"halo": halo_of(model, multiple).to_json()}
    card = SimpleNamespace(name=name, input=record, classes=["a", "b", "c", "d"])
    network = tf.function(lambda pixels: model(pixels, training=False), reduce_retracing=True)
    whole = tf.function(lambda image: scores(image, network, spec), reduce_retracing=True)

    def run(signature: str, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        assert signature == "logits"
        return {"outputs": network(pixels)}

    return SimpleNamespace(card=card, directory=Path("here"), run=run, whole=lambda image: whole(image[None])[0])


def drawn(height: int, width: int) -> np.ndarray:
    """An image with structure at every scale."""
    dice = np.random.default_rng(height * 7 + width)
    rough = tf.image.resize(dice.uniform(0, 255, (1 + height // 9, 1 + width // 9, 3)), (height, width), "bicubic")
    return np.clip(rough + dice.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)


def compare(model: Served, image: np.ndarray, side: int) -> None:
    whole = model.whole(tf.constant(image)).numpy()
    with open_raster(image) as raster:
        mosaic = Mosaic(model, raster, side)
        for row in mosaic.rows:
            for column in mosaic.columns:
                found = mosaic.piece(row, column)
                np.testing.assert_allclose(found, whole[slice(*row.kept), slice(*column.kept)], atol=1e-5)
        band = mosaic.whole()
    class_map, confidence = (part.numpy() for part in label(whole))
    best = np.sort(whole, axis=-1)
    differing = band.class_map != class_map
    assert (best[..., -1] - best[..., -2])[differing].max(initial=0) < 2e-5  # ties alone
    np.testing.assert_allclose(band.confidence, confidence, atol=1e-5)


MODELS = {
    "unet": {}, "unet stride 2": {"stride": 2}, "unet tiled": {"conv": "tiled"}, "unet l2": {"pool": "l2"},
    "fcn": {}, "fcn head 32": {"head": 32}, "dilated": {}, "aspp": {},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scale", [1.0, 0.61])
def test_pieces_give_what_the_whole_gives(name: str, scale: float):
    model = served(name.split()[0], scale, channels=1 if name == "dilated" else 3, **MODELS[name])

    @given(height=st.integers(1, 260), width=st.integers(1, 260), side=st.integers(64, 150))
    @settings(deadline=None, max_examples=4)
    def equal(height: int, width: int, side: int) -> None:
        compare(model, drawn(height, width), side)

    equal()


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_large_image_in_pieces_of_several_sizes(name: str):
    model, image = served(name), drawn(2000, 3000)
    expected = label(model.whole(tf.constant(image)))[0].numpy()
    for side in (512, 777):
        with open_raster(image) as raster:
            found = Mosaic(model, raster, side).whole().class_map
        assert (found != expected).mean() < 1e-6  # of ties


def test_a_network_that_sees_the_whole_image_is_refused_by_layer_or_blended():
    model, image = served("aspp", image_pooling=True), drawn(200, 300)
    with open_raster(image) as raster:
        with pytest.raises(ConfigError, match=r"image_mean sees the whole image.*--blend"):
            Mosaic(model, raster, 128)
        mosaic = Mosaic(model, raster, 128, blend=True)
        assert not mosaic.exact
        found = mosaic.whole()
        assert found.class_map.shape == (200, 300)
        assert 0 < found.confidence.min() <= found.confidence.max() <= 1.00001
        resumed = list(mosaic.bands(1))
        np.testing.assert_array_equal(
            resumed[0].class_map, found.class_map[resumed[0].first :][: len(resumed[0].class_map)]
        )
        np.testing.assert_allclose(
            np.concatenate([band.confidence for band in resumed]), found.confidence[resumed[0].first :], atol=1e-6
        )
    # Inside a piece, far from its borders, it is that piece's own answer.
    with open_raster(image[:128, :128]) as raster:
        alone = Mosaic(model, raster, 128, blend=True).whole()
    assert alone.class_map.shape == (128, 128)


def test_what_cannot_be_cut_is_said():
    model = served("unet")
    with open_raster(drawn(100, 100)) as raster:
        with pytest.raises(ConfigError, match="at least 64"):
            Mosaic(model, raster, 10)
        del model.card.input["halo"]
        with pytest.raises(ModelError, match="export it again"):
            Mosaic(model, raster, 128)


def test_a_mask_is_written_in_bands_and_a_stopped_run_goes_on(tmp_path: Path):
    model, path = served("unet"), tmp_path / "mask.tif"
    with open_raster(drawn(300, 210)) as raster:
        mosaic = Mosaic(model, raster, 64)
        expected = mosaic.whole().class_map

        def stop_after(count: int):
            def advance(more: int) -> None:
                nonlocal done
                done += more
                if done > count:
                    raise KeyboardInterrupt

            done = 0
            return advance

        with pytest.raises(KeyboardInterrupt):
            write_mask(mosaic, path, {"run": 1}, stop_after(10))
        assert not path.exists()
        with pytest.raises(ConfigError, match="another image"):
            write_mask(mosaic, path, {"run": 2})
        calls: list[int] = []
        counts = write_mask(mosaic, path, {"run": 1}, calls.append)
        assert calls[0] == 2 * len(mosaic.columns)  # rows of pieces that were there already
        assert sum(calls) == mosaic.pieces
    assert [entry.name for entry in tmp_path.iterdir()] == ["mask.tif"]
    np.testing.assert_array_equal(counts, np.bincount(expected.ravel(), minlength=4))
    with open_mask(path) as rows:
        np.testing.assert_array_equal(rows(0, 300), expected)
        np.testing.assert_array_equal(rows(100, 110), expected[100:110])
    from PIL import Image

    with Image.open(path) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), expected)
