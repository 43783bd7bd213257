"""docs/layers.md: its pictures are drawn by the script beside it, and it names what there is."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

import layers
from layers.kinds import TABLES
from places import ROOT

PAGE = (ROOT / "docs" / "layers.md").read_text()


@pytest.mark.slow
def test_every_picture_is_drawn_by_the_script(tmp_path):
    command = [sys.executable, ROOT / "docs" / "draw_layers.py", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == set(re.findall(r"\]\(pictures/(.*?\.png)\)", PAGE))
    by_others = {"segmentation.png", *(shot.file for shot in _shots())}  # by draw_segmentation.py and draw_pages.py
    assert drawn | by_others == {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}


def _shots():
    spec = importlib.util.spec_from_file_location("draw_pages", ROOT / "docs" / "draw_pages.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_pages"] = module
    spec.loader.exec_module(module)
    return module.PAGES.values()


def test_every_public_name_is_on_the_page():
    families = {re.sub(r"\dD$", "", name) for name in layers.__all__}
    missing = {name for name in families if name not in PAGE}
    assert not missing


def test_every_kind_is_on_the_page_by_name():
    for option, kinds in TABLES.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `--{option}` |"))
        assert re.findall(r"`([a-z0-9-]+)`", row.split("|")[2]) == list(kinds)
