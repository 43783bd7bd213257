"""With `deterministic`, the same seed gives the same bits: again, in another process, under load, divided otherwise.

Weights, the optimizer's state, batches and figures are compared, never with a tolerance. Two processes run side by
side, so that each takes processors from the other, and each has its own order of Python's sets. The first takes its
steps one in a call, and does all of it twice; the second takes them in one call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawings import draw_shape
from repeated_training import Request, finish, start

_STEPS = 2

SHORT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "classification": ("classification", "shapes", {"image_size": 16}),
    "detection": ("detection", "scattered", {}),
    "segmentation": ("segmentation", "painted", {"batch_size": 7}),
}
"""Names of configurations with their task, data, and options."""

LONG: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dilated, average, layer, max": (
        "classification", "shapes",
        {
            "conv": "dilated", "pool": "average", "norm": "layer", "head": "max", "optimizer": "muon",
            "augment": "strong",
        },
    ),
    "tiled, l2, rms, gem": (
        "classification", "shapes",
        {"conv": "tiled", "pool": "l2", "norm": "rms", "head": "gem", "optimizer": "sgd", "resize": "pad"},
    ),
    "unshared, lp, group, flatten": (
        "classification", "digits",
        {"conv": "unshared", "pool": "lp", "norm": "group", "head": "flatten", "precision": "mixed_bfloat16"},
    ),
    "deformable, gem, instance, adaptive-average": (
        "classification", "shapes",
        {"conv": "deformable", "pool": "gem", "norm": "instance", "head": "adaptive-average", "batch_size": 7},
    ),
    "fourier, weighted-average, local-response, adaptive-max": (
        "classification", "shapes",
        {
            "conv": "fourier", "pool": "weighted-average", "norm": "local-response", "head": "adaptive-max",
            "precision": "mixed_float16", "resize": "crop",
        },
    ),
    "low-rank, weighted-lp, subtractive, adaptive-lp": (
        "classification", "shapes",
        {
            "conv": "low-rank", "pool": "weighted-lp", "norm": "subtractive", "head": "adaptive-lp",
            "class_weights": "balanced",
        },
    ),
    "maxout, subsampling, divisive, pyramid": (
        "classification", "shapes",
        {"conv": "maxout", "pool": "subsampling", "norm": "divisive", "head": "pyramid", "label_smoothing": 0.1},
    ),
    "channel-lp, local-contrast": (
        "classification", "shapes",
        {"conv": "channel-lp", "norm": "local-contrast", "optimizer": "muon", "precision": "mixed_bfloat16"},
    ),
    "lenet5": ("classification", "digits", {"model": "lenet5", "augment": "none"}),
    "tensorflow-datasets": ("classification", "tfds:tiny_shapes", {"batch_size": 7}),
    "detection: dilated, average, layer": (
        "detection", "scattered",
        {
            "conv": "dilated", "pool": "average", "norm": "layer", "optimizer": "muon", "turn": True, "flip": True,
            "channels": 1,
        },
    ),
    "detection: tiled, l2, rms": (
        "detection", "scattered", {"conv": "tiled", "pool": "l2", "norm": "rms", "optimizer": "sgd", "batch_size": 7},
    ),
    "detection: fourier, lp, none": (
        "detection", "scattered",
        {"conv": "fourier", "pool": "lp", "norm": "none", "precision": "mixed_bfloat16", "batch_size": 7},
    ),
    "detection: low-rank, gem, local-response": (
        "detection", "scattered",
        {"conv": "low-rank", "pool": "gem", "norm": "local-response", "precision": "mixed_float16", "batch_size": 7},
    ),
    "detection: maxout, weighted-average": (
        "detection", "scattered", {"conv": "maxout", "pool": "weighted-average", "batch_size": 6, "scales": "1,0.7"},
    ),
    "detection: windows, channel-lp, subsampling": (
        "detection", "windows", {"conv": "channel-lp", "pool": "subsampling", "batch_size": 6},
    ),
    "detection: scenes, weighted-lp": ("detection", "scenes", {"batch_size": 5, "pool": "weighted-lp"}),
    "detection: convnet": ("detection", "scattered", {"backbone": "convnet", "batch_size": 7}),
    "unet with stride, elastic": (
        "segmentation", "painted",
        {
            "stride": 2, "upsampling": "learned", "elastic": 3, "turn": True, "loss": "cross_entropy+focal+dice",
            "optimizer": "muon", "batch_size": 7,
        },
    ),
    "fcn, dilated, layer": (
        "segmentation", "painted",
        {"model": "fcn", "conv": "dilated", "norm": "layer", "class_weights": "median", "batch_size": 7},
    ),
    "dilated, tiled, l2": (
        "segmentation", "painted",
        {"model": "dilated", "conv": "tiled", "pool": "l2", "precision": "mixed_bfloat16", "batch_size": 7},
    ),
    "aspp with image pooling": (
        "segmentation", "painted", {"model": "aspp", "image_pooling": True, "optimizer": "sgd", "batch_size": 7},
    ),
    "unet, scaled, gem, rms": (
        "segmentation", "painted",
        {"stride": 2, "scale": 0.7, "pool": "gem", "norm": "rms", "precision": "mixed_float16", "batch_size": 7},
    ),
    "segmentation: scenes": ("segmentation", "scenes", {"batch_size": 5, "backbone": "window"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that are wholly a cross, a disc, or background: cut and pasted into scenes."""
    root = tmp_path_factory.mktemp("data") / "windows"
    for kind in ("cross", "disc", "background"):
        (root / kind).mkdir(parents=True)
        for number in range(40):
            if kind == "background":
                squares = np.random.default_rng(number).integers(0, 255, (3, 3, 3), np.uint8)
                picture = Image.fromarray(np.kron(squares, np.ones((8, 8, 1), np.uint8)))
            else:
                picture = draw_shape(kind, number, (24, 24))
            picture.save(root / kind / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared set of tensorflow-datasets."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def part(count: int) -> tf.data.Dataset:
        pictures = [np.asarray(draw_shape(("cross", "disc")[n % 2], n, (16, 16))) for n in range(count)]
        return tf.data.Dataset.from_tensor_slices({"image": pictures, "label": [n % 2 for n in range(count)]})

    root = tmp_path_factory.mktemp("tfds")
    label = tfds.features.ClassLabel(names=["cross", "disc"])
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny_shapes",
        version="1.0.0",
        data_dir=root,
        config="default",
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3)), "label": label}),
        split_datasets={"train": part(40), "test": part(10)},
    )
    return root


@pytest.mark.parametrize(
    "table", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)]
)
def test_the_same_seed_gives_the_same_bits(table: dict[str, Any], request: pytest.FixtureRequest):
    def requests(calls: list[int], times: int) -> list[Request]:
        return [
            (name, task, options | _place(source, request), calls, times)
            for name, (task, source, options) in table.items()
        ]

    one_by_one, together = start(requests([1] * _STEPS, 2)), start(requests([_STEPS], 1))
    found, others = finish(one_by_one), finish(together)
    assert found.keys() == others.keys() == table.keys()
    differing = {
        name: [part for part in first if not first[part] == again[part] == others[name][0][part]]
        for name, (first, again) in found.items()
    }
    assert not {name: parts for name, parts in differing.items() if parts}


def test_the_table_has_every_kind_of_layer():
    """A kind that is added joins the table."""
    from pipelines.models.names import kind_names

    for table in ("conv", "pool", "norm", "head"):
        used = {options[table] for _, _, options in LONG.values() if table in options}
        assert used >= {*kind_names(table)} - {"standard", "max", "batch", "average"}


def _place(source: str, request: pytest.FixtureRequest) -> dict[str, str]:
    if source.startswith("tfds:"):
        return {"data": source, "data_dir": str(request.getfixturevalue("prepared"))}
    return {"data": source if source in ("digits", "scenes") else str(request.getfixturevalue(source))}
