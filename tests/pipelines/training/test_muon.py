"""Muon: which variables are its own, and what it moves them by."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipelines.models import SEGMENTERS, classifier, find_segmenter
from pipelines.models.detectors.window_detector import detector
from pipelines.training.muon import KernelMuon

CLASSES = 23  # as no other number of filters
NETWORKS = {name: lambda name=name: find_segmenter(name)(1, CLASSES) for name in SEGMENTERS} | {
    "convnet": lambda: classifier("convnet", (16, 16, 1), CLASSES),
    "lenet5": lambda: classifier("lenet5", (28, 28, 1), CLASSES),
    "detector": lambda: detector((32, 32), 1, CLASSES),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_but_for_those_of_the_last_layers_are_its_own(name: str):
    network = NETWORKS[name]()
    variables = network.trainable_variables
    optimizer = KernelMuon()
    optimizer.build(variables)
    own = {
        variable.path
        for variable, velocity in zip(variables, optimizer.adam_velocities, strict=True)
        if velocity is None
    }
    kernels = {variable.path for variable in variables if len(variable.shape) in (2, 4)}
    last = {variable.path for variable in variables if variable.shape[-1] in (CLASSES, 4)}  # a box has four sides
    assert len(kernels - last) >= 4
    assert own == kernels - last


@pytest.mark.parametrize("shape", [(3, 3, 5, 8), (1, 1, 3, 16), (12, 7)])
def test_a_first_step_is_the_nearest_orthogonal_matrix(shape: tuple[int, ...]):
    kernel = keras.Variable(np.zeros(shape), dtype="float32")
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    optimizer = KernelMuon(1.0, weight_decay=0.0, rms_rate=None)
    optimizer.build([kernel])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [kernel])
    moved = -np.asarray(kernel.numpy()).reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(gradient.reshape(-1, shape[-1]), full_matrices=False)
    # The iteration is quick rather than exact: it brings singular values to between 0.7 and 1.2.
    values = np.diag(left.T @ moved @ right.T)
    assert ((values > 0.6) & (values < 1.3)).all()
    assert np.abs(moved - left @ np.diag(values) @ right).max() < 1e-3


@pytest.mark.parametrize("shape", [(288, 32), (40, 64), (16, 16)])
def test_the_iteration_is_that_of_keras(shape: tuple[int, int]):
    dice = np.random.default_rng(1)
    # Singular values over five orders of magnitude.
    spread = np.diag(np.logspace(0, -5, shape[1]))
    matrix = keras.ops.convert_to_tensor((dice.normal(size=shape) @ spread).astype("float32"))
    found, wanted = (kind().zeropower_via_newtonschulz5(matrix, 5) for kind in (KernelMuon, keras.optimizers.Muon))
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_it_is_made_again_from_its_configuration():
    optimizer = KernelMuon(0.1, weight_decay=0.5, momentum=0.9)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is KernelMuon
    assert again.get_config() == optimizer.get_config()


def test_decay_is_the_share_that_was_asked_for():
    variables = [keras.Variable(np.ones(shape), dtype="float32") for shape in ((3, 3, 2, 4), (5,))]
    optimizer = KernelMuon(0.1, weight_decay=0.5)
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros_like(variable) for variable in variables], variables)
    for variable in variables:
        assert variable.numpy() == pytest.approx(0.95)
