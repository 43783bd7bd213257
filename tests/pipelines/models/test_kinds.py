"""Every kind of convolution, pooling, normalization and head in a network: it trains, and is exact where it says so."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from layers.fully_convolutional.convolutionalize import convolutionalize
from layers.kinds import CONVOLUTIONS, HEADS, NORMALIZATIONS, POOLINGS, TABLES
from pipelines.models import classifier, find_backbone

# Each kind once: the shorter tables begin again.
LONGEST = max(len(CONVOLUTIONS), len(POOLINGS), len(NORMALIZATIONS), len(HEADS))
TOGETHER = list(itertools.islice(zip(*(itertools.cycle(table) for table in TABLES.values()), strict=False), LONGEST))


@pytest.mark.parametrize(("conv", "pool", "norm", "head"), TOGETHER)
def test_every_kind_trains(conv: str, pool: str, norm: str, head: str):
    keras.utils.set_random_seed(2)
    model = classifier("convnet", (12, 16, 1), 3, conv, pool, norm=norm, head=head)
    names = {layer.name for layer in model.layers}
    assert ("stage1_conv1_norm" in names) == (norm != "none")
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(True), run_eagerly=True)
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    images = (labels[:, None, None, None] * 80 + rng.uniform(0, 60, (12, 12, 16, 1))).astype("float32")
    before = [value.copy() for value in model.get_weights()]
    losses = [float(model.train_on_batch(images, labels)) for _ in range(3)]
    assert np.isfinite(losses).all()
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert np.mean(moved) > 0.6


EXACT = {name: [kind for kind in table if table[kind].exact] for name, table in TABLES.items() if name != "head"}
EXACT_TOGETHER = list(
    itertools.islice(
        zip(*(itertools.cycle(names) for names in EXACT.values()), strict=False), max(map(len, EXACT.values()))
    )
)


def window_classifier(conv: str, pool: str, norm: str, head: str = "max", side: int = 28) -> keras.Model:
    keras.utils.set_random_seed(4)
    pixels = keras.Input((side, side, 1))
    kinds = {"conv": conv, "pool": pool, "norm": norm}
    x = find_backbone("window").features(pixels, needs=(4,), padding="valid", filters=8, **kinds)[4]
    x = HEADS[head].make()(x)
    return keras.Model(pixels, x)


@pytest.mark.parametrize(("conv", "pool", "norm"), EXACT_TOGETHER)
def test_an_exact_kind_is_exact_under_convolutionalize(conv: str, pool: str, norm: str):
    model = window_classifier(conv, pool, norm)
    dense = convolutionalize(model, 4)
    image = np.random.default_rng(3).uniform(0, 255, (1, 36, 32, 1)).astype("float32")
    maps = np.asarray(dense(image))
    assert maps.shape[1:3] == (3, 2)
    windows = np.concatenate([image[:, 4 * i : 4 * i + 28, 4 * j : 4 * j + 28] for i in range(3) for j in range(2)])
    alone = np.asarray(model(windows)).reshape(maps[0].shape)
    np.testing.assert_allclose(maps[0], alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("head", [name for name, kind in HEADS.items() if kind.exact])
def test_an_exact_head_is_exact_under_convolutionalize(head: str):
    model = window_classifier("standard", "max", "none", head, side=24)
    image = np.random.default_rng(3).uniform(0, 255, (1, 28, 24, 1)).astype("float32")
    maps = np.asarray(convolutionalize(model, 4)(image))
    alone = np.asarray(model(np.concatenate([image[:, :24], image[:, 4:]])))
    np.testing.assert_allclose(maps[0, :, 0], alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize(
    ("table", "name"),
    [(table, name) for table, kinds in TABLES.items() for name in kinds if not kinds[name].exact] + [("pool", "lp:9")],
)
def test_what_is_not_called_exact_is_refused_by_convolutionalize(table: str, name: str):
    chosen = {"conv": "standard", "pool": "max", "norm": "none", "head": "max"} | {table: name}
    with pytest.raises(ValueError, match="cannot be evaluated exactly"):
        convolutionalize(window_classifier(**chosen, side=24), 4)


def test_maxout_takes_the_place_of_the_rectifier():
    model = classifier("convnet", (8, 8, 1), 2, "maxout:3")
    assert model.get_layer("stage2_conv1").filters == 3 * model.get_layer("stage1_conv1").filters * 2
    assert type(model.get_layer("stage2_conv1_relu")).__name__ == "Maxout"
    assert type(model.get_layer("stage1_conv1_relu")).__name__ == "ReLU"


def test_a_convolution_has_a_bias_where_its_normalization_has_none():
    for norm, kind in NORMALIZATIONS.items():
        model = classifier("convnet", (8, 8, 1), 2, norm=norm)
        assert model.get_layer("stage1_conv1").use_bias != kind.offset, norm
    names = [layer.name for layer in classifier("convnet", (8, 8, 1), 2, norm="local-response").layers]
    assert names.index("stage1_conv1_relu") < names.index("stage1_conv1_norm")
    names = [layer.name for layer in classifier("convnet", (8, 8, 1), 2).layers]
    assert names.index("stage1_conv1_norm") < names.index("stage1_conv1_relu")


def test_a_number_behind_a_name_reaches_the_layer():
    model = classifier("convnet", (8, 8, 1), 2, "dilated:3", "lp:4", head="adaptive-max:1")
    assert model.get_layer("stage2_conv1").dilation_rate == (3, 3)
    assert model.get_layer("pool1").p == 4
    assert model.get_layer("global_pool").output_size == (1, 1)


def test_wider_poolings_keep_half_the_size():
    sizes = {
        pool: find_backbone("unet").features(keras.Input((32, 48, 1)), needs=(1, 8), pool=pool)[8].shape[1:3]
        for pool in POOLINGS
    }
    assert set(sizes.values()) == {(4, 6)}
