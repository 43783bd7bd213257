"""The tables of kinds: light to read, and every row is a layer of the package or of Keras."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import layers
from layers.kinds import CONVOLUTIONS, HEADS, NORMALIZATIONS, POOLINGS, TABLES, Kind, find_kind

ROWS = [(table, name) for table, kinds in TABLES.items() for name in kinds]
NOT_STANDING_IN = {  # layers of images that are in no table, and why
    "LocallyConnected2D",  # the unshared convolution by its old name
    "FilterBank2D",  # its filters are given, and so is their number
}


def make(table: str, name: str) -> keras.layers.Layer:
    return find_kind(table, name).make(*([4, 3] if table == "conv" else []))


@pytest.mark.parametrize(("table", "name"), ROWS)
def test_a_row_is_a_layer_with_its_arguments(table: str, name: str):
    kind, layer = TABLES[table][name], make(table, name)
    assert isinstance(layer, keras.layers.Layer)
    assert type(layer).__module__.split(".")[0] in ("keras", "layers")
    if kind.number and kind.number != "pieces":
        text = "2" if kind.whole else "2.5"
        assert find_kind(table, f"{name}:{text}").arguments[kind.number] == float(text)
    if table == "pool":
        assert layer.compute_output_shape((1, 9, 13, 2)) == (1, 4, 6, 2)
    if table == "norm":
        assert layer(np.ones((1, 6, 8, 16), "float32")).shape == (1, 6, 8, 16)
    if table == "head":
        assert layer(np.ones((1, 6, 8, 16), "float32")).shape[-1] % 16 == 0


def test_every_layer_of_images_that_can_stand_in_is_in_a_table():
    used = {kind.layer for table in TABLES.values() for kind in table.values()}
    used |= {kind.activation.layer for kind in CONVOLUTIONS.values() if kind.activation is not None}
    used = {path.rpartition(":")[2] for path in used}
    public = {
        name
        for name in layers.__all__
        if inspect.isclass(getattr(layers, name)) and issubclass(getattr(layers, name), keras.layers.Layer)
    }
    left = {name for name in public - used if not name.endswith(("1D", "3D"))}
    assert left == NOT_STANDING_IN


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_needing_sizes_and_kernels_are_as_the_table_says(name: str):
    kind = CONVOLUTIONS[name]
    layer = kind.make(6, 3)
    if kind.needs_sizes:
        with pytest.raises(ValueError, match="sizes must be known"):
            layer.build((None, None, None, 2))
    else:
        layer.build((None, None, None, 2))
        kernels = [weight for weight in layer.weights if weight.name == "kernel"]
        assert bool(kernels) == kind.dense_kernel
        assert not kernels or tuple(kernels[0].shape[-2:]) == (2, 6)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_an_offset_is_as_the_table_says(name: str):
    layer = NORMALIZATIONS[name].make()
    layer.build((None, 8, 8, 16))
    assert any(weight.name == "beta" for weight in layer.weights) == NORMALIZATIONS[name].offset


@pytest.mark.parametrize(
    ("table", "name", "message"),
    [
        ("pool", "lpp", "`pool` must be one of max, average"),
        ("pool", "max:2", "pool 'max' takes no number. Received: '2'"),
        ("pool", "lp:", "takes a number >= 1 as `p`. Received: ''"),
        ("pool", "lp:0.5", "takes a number >= 1"),
        ("pool", "lp:nan", "takes a number >= 1"),
        ("pool", "gem:inf", "takes a number >= 1"),
        ("conv", "dilated:1.5", "takes an integer >= 1 as `dilation_rate`"),
        ("conv", "maxout:0", "takes an integer >= 1 as `pieces`"),
    ],
)
def test_a_wrong_name_or_number_is_refused(table: str, name: str, message: str):
    with pytest.raises(ValueError, match=message):
        find_kind(table, name)


def test_powers_beyond_what_stays_exact_are_not_called_exact():
    assert find_kind("pool", "lp:6").exact
    assert not find_kind("pool", "lp:6.5").exact
    assert find_kind("pool", "lp:inf").exact
    assert math.isinf(find_kind("pool", "lp:inf").make().p)
    assert not find_kind("head", "gem:7").exact


def test_a_row_from_outside_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(POOLINGS, "mine", Kind("keras.layers:MaxPooling2D", {"pool_size": 4}))
    assert find_kind("pool", "mine").make().pool_size == (4, 4)
    assert "mine" not in HEADS


def test_names_are_read_without_keras():
    code = (
        "import sys, layers; from layers.kinds import TABLES; print(len(TABLES['conv'])); "
        "print([name for name in ('keras', 'numpy', 'tensorflow') if name in sys.modules]); "
        "from layers import TiledConv2D; print('keras' in sys.modules, 'TiledConv2D' in layers.__all__); "
        "print(layers.pooling.lp_pooling.L2Pooling2D is layers.L2Pooling2D, 'L2Pooling2D' in dir(layers))"
    )
    root = Path(layers.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.splitlines() == [str(len(CONVOLUTIONS)), "[]", "True True", "True True"]


def test_importing_the_package_behind_keras_registers_its_layers():
    code = "import keras, layers; print(keras.saving.get_registered_object('cnnapp>TiledConv2D').__name__)"
    root = Path(layers.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split() == ["TiledConv2D"]
