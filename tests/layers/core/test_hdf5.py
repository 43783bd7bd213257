"""What an HDF5 file of weights must not hold."""

from __future__ import annotations

import io

import h5py
import keras
import numpy as np
import pytest

from layers import load_keras2_weights
from layers.core.hdf5 import hdf5_problems


def problems(make) -> list[str]:
    with h5py.File(io.BytesIO(), "w") as file:
        make(file)
        return list(hdf5_problems(file))


def test_numbers_of_its_own_are_no_problem():
    def make(file: h5py.File) -> None:
        file["a/b"] = [1.0, 2.0]
        file["empty"] = h5py.Empty("f4")
        file.create_dataset("packed", data=[0.0] * 1000, compression="gzip", shuffle=True)
        file["again"] = h5py.SoftLink("/a")
        file["kind"] = np.dtype("f4")

    assert problems(make) == []


def test_an_unknown_filter_is_a_plug_in():
    def make(file: h5py.File) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((4,))
        plan.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, (1,))
        h5py.h5d.create(file.id, b"values", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), plan)

    assert problems(make) == ["/values: its values are read by filter 32099, a plug-in of HDF5"]


def test_too_many_objects_are_not_counted_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("layers.core.hdf5._MOST_OBJECTS", 3)

    def make(file: h5py.File) -> None:
        for number in range(5):
            file.create_group(str(number))

    assert problems(make) == ["/3: the file has more than 3 groups and data sets"]


def test_weights_of_keras_2_are_read_from_the_file_alone(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["dense"] = h5py.ExternalLink("/etc/passwd", "/")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
    with pytest.raises(
        ValueError, match=r"old\.h5: /dense: is a link into another file, /etc/passwd; weights are read"
    ):
        load_keras2_weights(model, tmp_path / "old.h5")
