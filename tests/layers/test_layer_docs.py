"""The documented examples run, and the package stands on its own."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import layers
import layers.geometry

PUBLIC = [*(getattr(layers, name) for name in layers.__all__), layers.geometry.ConvGeometry]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_examples_run(thing):
    examples = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__)
    results = [doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example) for example in examples]
    assert sum(result.attempted for result in results) >= 2
    assert not any(result.failed for result in results)


@pytest.mark.parametrize("name", layers.__all__)
def test_docstrings_have_every_section_and_argument(name):
    layer_class = getattr(layers, name)
    text = inspect.getdoc(layer_class)
    order = ["Args:", "Input shape:", "Output shape:", "Raises:", "Example:", "Reference:"]
    places = [text.index(section) for section in order]
    assert places == sorted(places)
    for argument in layer_class(**_required(layer_class)).get_config():
        assert argument in ("name", "trainable", "dtype") or f"\n    {argument}: " in text, argument


@pytest.mark.parametrize("name", layers.__all__)
def test_registered_under_the_package_name(name):
    assert keras.saving.get_registered_name(getattr(layers, name)) == f"cnnapp>{name}"


def test_all_is_sorted():
    assert sorted(layers.__all__) == layers.__all__


def test_jax_alone_imports_no_tensorflow():
    code = "import sys, layers; sys.exit(any(m.split('.')[0] == 'tensorflow' for m in sys.modules))"
    root = Path(layers.__file__).parent.parent
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def _required(layer_class):
    return {"filters": 2, "kernel_size": 3} if "Conv" in layer_class.__name__ else {}
