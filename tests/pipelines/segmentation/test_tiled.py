"""An image answered piece by piece: equal to the whole, blended where it cannot be, written in bands, and resumed."""

from __future__ import annotations

import copy
import functools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.core.errors import ConfigError, DataError, ModelError
from pipelines.images.windowed_reader import open_raster
from pipelines.models import SEGMENTERS, find_segmenter
from pipelines.segmentation.auto_config import _geometry
from pipelines.segmentation.dense_prediction import LabelSpec, label, scores
from pipelines.segmentation.tiled import Mosaic
from pipelines.segmentation.tiled_files import open_mask, write_mask
from pipelines.segmentation.tiling import halo_of
from profiles import examples

Served = Any


def served(name: str, scale: float = 1.0, channels: int = 3, **options: Any) -> Served:
    """A network with random weights, in what a saved model looks like from outside; its card may be changed."""
    made = _served(name, scale, channels, **options)
    return SimpleNamespace(**{**vars(made), "card": copy.deepcopy(made.card)})


@functools.cache
def _served(name: str, scale: float, channels: int, **options: Any) -> Served:
    keras.utils.set_random_seed(1)
    model = find_segmenter(name)(channels, 4, **options)
    for layer in model.layers:  # what normalization has learned, so that nothing is the identity
        if "norm" in layer.name:
            dice = np.random.default_rng(len(layer.name))
            layer.set_weights([dice.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    multiple, stride = _geometry(model)
    spec = LabelSpec(scale, channels, multiple, stride)
    record = spec.to_json() | {"halo": halo_of(model, multiple).to_json()}
    card = SimpleNamespace(name=name, input=record, classes=["a", "b", "c", "d"])
    # About their means, so that no class has all pixels: then nothing could go wrong.
    sample = tf.constant(drawn(192, 288)[None, ..., :channels], tf.float32)
    centre = tf.reduce_mean(model(sample, training=False), axis=(0, 1, 2))
    network = tf.function(lambda pixels: model(pixels, training=False) - centre, reduce_retracing=True)
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
    equal_but_for_ties(band.class_map, whole)
    np.testing.assert_allclose(band.confidence, label(whole)[1].numpy(), atol=1e-5)


def equal_but_for_ties(class_map: np.ndarray, whole: np.ndarray) -> None:
    best = np.sort(whole[class_map != whole.argmax(-1)], axis=-1)
    assert (best[:, -1] - best[:, -2]).max(initial=0) < 2e-5


MODELS = {
    "unet": {}, "unet stride 2": {"stride": 2}, "unet tiled": {"conv": "tiled"}, "unet l2": {"pool": "l2"},
    "unet learned upsampling": {"stride": 2, "depth": 2, "upsampling": "learned"},
    "fcn": {}, "fcn head 32": {"head": 32}, "dilated": {}, "aspp": {},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scale", [1.0, 0.61])
def test_pieces_give_what_the_whole_gives(name: str, scale: float):
    model = served(name.split()[0], scale, channels=1 if name == "dilated" else 3, **MODELS[name])

    @given(height=st.integers(1, 260), width=st.integers(1, 260), side=st.integers(64, 150))
    @settings(deadline=None, max_examples=examples(4))
    def equal(height: int, width: int, side: int) -> None:
        compare(model, drawn(height, width), side)

    equal()


@pytest.mark.slow
@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_large_image_in_pieces_of_several_sizes(name: str):
    in_pieces_of_several_sizes(name, 2000, 3000, (512, 777))


def in_pieces_of_several_sizes(name: str, height: int, width: int, sides: tuple[int, ...]) -> None:
    model, image = served(name), drawn(height, width)
    whole = model.whole(tf.constant(image)).numpy()
    shares = np.bincount(whole.argmax(-1).ravel(), minlength=4) / (height * width)
    assert (shares >= 0.05).sum() >= 2
    for side in sides:
        with open_raster(image) as raster:
            equal_but_for_ties(Mosaic(model, raster, side).whole().class_map, whole)


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
    # Where it does not fade into the next, a piece has the answer for what it reads alone.
    row, column = mosaic.rows[0], mosaic.columns[0]
    alone = model.whole(tf.constant(image[slice(*row.read), slice(*column.read)])).numpy()[:112, :112]
    np.testing.assert_allclose(found.confidence[:112, :112], alone.max(-1), atol=1e-5)
    equal_but_for_ties(found.class_map[:112, :112], alone)


def test_what_cannot_be_cut_is_said():
    model = served("unet")
    with open_raster(drawn(100, 100)) as raster:
        with pytest.raises(ConfigError, match="at least 64"):
            Mosaic(model, raster, 10)
        del model.card.input["halo"]
        with pytest.raises(ModelError, match="export it again"):
            Mosaic(model, raster, 128)


def stop_after(count: int):
    """Return what interrupts a run when more pieces than these are done."""

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if done > count:
            raise KeyboardInterrupt

    done = 0
    return advance


@pytest.mark.parametrize("blend", [False, True])
def test_a_mask_is_written_in_bands_and_a_stopped_run_goes_on(tmp_path: Path, blend: bool):
    model = served("aspp", image_pooling=True) if blend else served("unet")
    path, side = tmp_path / "mask.tif", 64
    with open_raster(drawn(300, 210)) as raster:
        mosaic = Mosaic(model, raster, side, blend)
        expected = mosaic.whole().class_map
        assert (np.bincount(expected.ravel(), minlength=4) >= 0.05 * expected.size).sum() >= 2
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
    with Image.open(path) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), expected)


@pytest.mark.parametrize("left", ["run.json", "band-00000.npz"])
@pytest.mark.parametrize("content", [b"", b"{", b"PK\x03\x04 and no more", None])
def test_what_is_left_of_a_run_and_damaged_is_named(tmp_path: Path, left: str, content: bytes | None):
    parts = tmp_path / ".mask.tif.parts"
    with open_raster(drawn(150, 70)) as raster:
        mosaic = Mosaic(served("unet"), raster, 64)
        with pytest.raises(KeyboardInterrupt):
            write_mask(mosaic, tmp_path / "mask.tif", {"run": 1}, stop_after(2))
        assert sorted(entry.name for entry in parts.iterdir()) == ["band-00000.npz", "run.json"]
        if content is not None:
            (parts / left).write_bytes(content)
        elif left == "run.json":
            (parts / left).unlink()
        else:  # an archive of something else
            np.savez(parts / left, other=np.zeros(3))
        with pytest.raises(DataError, match=rf"{left}: is damaged .*; remove the folder .*\.mask\.tif\.parts"):
            write_mask(mosaic, tmp_path / "mask.tif", {"run": 1})


@pytest.mark.parametrize("place", [60, 0.5])
def test_a_part_whose_bytes_were_altered_is_damaged(tmp_path: Path, place: float):
    with open_raster(drawn(150, 70)) as raster:
        mosaic = Mosaic(served("unet"), raster, 64)
        with pytest.raises(KeyboardInterrupt):
            write_mask(mosaic, tmp_path / "mask.tif", {"run": 1}, stop_after(2))
        part = tmp_path / ".mask.tif.parts" / "band-00000.npz"
        content = bytearray(part.read_bytes())
        at = int(place if place > 1 else place * len(content))
        content[at : at + 4] = bytes(255 - value for value in content[at : at + 4])
        part.write_bytes(content)
        with pytest.raises(DataError, match="is damaged"):
            write_mask(mosaic, tmp_path / "mask.tif", {"run": 1})


def test_files_are_safe_before_they_have_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append("safe"))
    monkeypatch.setattr(os, "replace", lambda old, new: (done.append(Path(new).name), replace(old, new)))
    with open_raster(drawn(100, 70)) as raster:
        write_mask(Mosaic(served("unet"), raster, 64), tmp_path / "mask.tif", {"run": 1})
    names = ["run.json", "band-00000.npz", "band-00001.npz", "mask.tif"]
    assert done == [each for name in names for each in ("safe", name)]


def test_a_finished_mask_of_this_run_is_kept_and_of_another_written_over(tmp_path: Path):
    path, calls = tmp_path / "mask.tif", []
    with open_raster(drawn(150, 70)) as raster:
        mosaic = Mosaic(served("unet"), raster, 64)
        identity = {"run": 1, "image": ('ä "quoted" <name>', 2)}
        counts = write_mask(mosaic, path, identity)
        before = path.stat().st_mtime_ns
        np.testing.assert_array_equal(write_mask(mosaic, path, identity, calls.append), counts)
        assert calls == [mosaic.pieces]
        assert path.stat().st_mtime_ns == before
        # A run that was stopped when only its parts had to be removed.
        parts = tmp_path / ".mask.tif.parts"
        parts.mkdir()
        (parts / "run.json").write_text(json.dumps(identity))
        write_mask(mosaic, path, identity)
        assert not parts.exists()
        np.testing.assert_array_equal(write_mask(mosaic, path, {"run": 2}, calls.append), counts)
        assert calls[1:] == [0] + [1] * mosaic.pieces
        assert path.stat().st_mtime_ns != before
