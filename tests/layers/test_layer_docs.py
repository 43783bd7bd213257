"""The documented examples run, and the package stands on its own."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import layers
import layers.core.geometry

PUBLIC = [*(getattr(layers, name) for name in layers.__all__), layers.core.geometry.ConvGeometry]
CLASSES = [thing for thing in PUBLIC if inspect.isclass(thing) and issubclass(thing, keras.layers.Layer)]
REGISTERED = [thing for thing in PUBLIC if inspect.isclass(thing) and hasattr(thing, "get_config")]
OTHERS = [thing for thing in PUBLIC if thing not in CLASSES]
named = lambda things: pytest.mark.parametrize("thing", things, ids=lambda thing: thing.__name__)  # noqa: E731


@named(PUBLIC)
def test_examples_run(thing):
    examples = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__)
    results = [doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example) for example in examples]
    assert sum(result.attempted for result in results) >= 2
    assert not any(result.failed for result in results)


@named(CLASSES)
def test_docstrings_of_layers_have_every_section_and_argument(thing):
    text = inspect.getdoc(thing)
    assert "$" not in text
    order = ["Args:", "Input shape:", "Output shape:", "Raises:", "Example:", "Reference:"]
    places = [text.index(section) for section in order]
    assert places == sorted(places)
    for argument in thing(**_required(thing)).get_config():
        assert argument in ("name", "trainable", "dtype") or f"\n    {argument}: " in text, argument


@named(OTHERS)
def test_docstrings_of_the_rest_name_their_arguments_and_options_by_keyword(thing):
    text = inspect.getdoc(thing)
    for name, parameter in inspect.signature(thing).parameters.items():
        assert f"\n    {name}: " in text, name
        optional = parameter.default is not parameter.empty and not inspect.isclass(thing)
        assert not optional or parameter.kind is parameter.KEYWORD_ONLY, name
    if not inspect.isclass(thing):
        places = [
            text.index(section) for section in ("Args:", "Returns:" if "Returns:" in text else "Raises:", "Example:")
        ]
        assert places == sorted(places)


@named(REGISTERED)
def test_registered_under_the_package_name(thing):
    assert keras.saving.get_registered_name(thing) == f"cnnapp>{thing.__name__}"


def test_all_is_sorted():
    assert sorted(layers.__all__) == layers.__all__


def test_jax_alone_imports_no_tensorflow():
    code = "import sys, layers; sys.exit(any(m.split('.')[0] == 'tensorflow' for m in sys.modules))"
    root = Path(layers.__file__).parent.parent
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def _required(layer_class):
    arguments = {"filters": 2, "kernel_size": 3, "output_size": 2, "pieces": 2}
    signature = inspect.signature(layer_class).parameters
    if "args" in signature:
        return {"filters": 2, "kernel_size": 3}
    return {name: arguments[name] for name, p in signature.items() if name in arguments and p.default is p.empty}
