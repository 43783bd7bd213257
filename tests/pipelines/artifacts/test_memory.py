"""How much memory an answer takes is reckoned from the network's maps."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import psutil
import pytest

from pipelines.artifacts.memory import available, bytes_per_pixel, needed, needed_by
from pipelines.artifacts.model_card import read_card
from pipelines.models import find_segmenter
from places import ROOT


def test_maps_are_counted_while_they_are_needed():
    pixels = keras.Input((256, 256, 1))
    x = keras.layers.Conv2D(8, 3, padding="same")(pixels)
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    # In the second: 32 bytes read, 16 written, and a copy of what is read.
    assert bytes_per_pixel(keras.Model(pixels, x)) == 32 + 16 + 32
    kept = keras.layers.Concatenate()([keras.layers.Conv2D(4, 1)(x), x, pixels])
    assert bytes_per_pixel(keras.Model(pixels, kept)) > 80


def test_a_larger_network_and_a_larger_scale_take_more():
    small, large = (bytes_per_pixel(find_segmenter("unet")(3, 5, filters=filters)) for filters in (8, 32))
    assert small * 2 < large
    assert needed(1000, 1000, 0.5, large, 5) < needed(1000, 1000, 1.0, large, 5) < needed(1000, 2000, 1.0, large, 5)
    assert 0 < needed(10, 10, 1.0, small, 5) < available()


@pytest.mark.parametrize("name", ["scale", "scales"])
def test_the_scale_that_is_asked_for_counts(name: str):
    card = read_card(ROOT / "saved_models" / "digit-scenes" / "1")
    once, twice = (needed_by(card, (100, 100), {name: np.array(scale, np.float32)}) for scale in (1, 2))
    assert needed_by(card, (100, 100), {}) == once
    assert 2 * once < twice < 4 * once


CGROUPS = {
    "v2": ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    "v1": ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
}


@pytest.mark.parametrize("version", CGROUPS)
def test_a_container_gives_no_more_than_its_limit_leaves(tmp_path: Path, version: str):
    limit, used, statistics, files = CGROUPS[version]
    (tmp_path / "memory").mkdir()
    (tmp_path / limit).write_text("3000000\n")
    (tmp_path / used).write_text("1000000\n")
    assert available(tmp_path) == 2_000_000
    (tmp_path / statistics).write_text(f"anon 600000\n{files} 400000\n")
    assert available(tmp_path) == 2_400_000  # what was read from files makes room
    (tmp_path / used).write_text("3600000\n")
    (tmp_path / statistics).write_text("anon 600000\n")
    assert available(tmp_path) == 0


def test_without_a_limit_it_is_what_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 5_000_000}))
    assert available(tmp_path) == 5_000_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert available(tmp_path) == 5_000_000
    (tmp_path / "memory.max").write_text("9223372036854771712\n")
    assert available(tmp_path) == 5_000_000
