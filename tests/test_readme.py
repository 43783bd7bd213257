"""What the README shows is what happens: its Python runs, its files and commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from typer.testing import CliRunner

from cnnapp.cli.main import app

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_is_something_to_run():
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_python_runs(number: int, tmp_path: Path):
    """In a folder of its own with the shipped models and an image; training is cut to one epoch."""
    (tmp_path / "saved_models").mkdir()
    (tmp_path / "saved_models" / "digits").symlink_to(ROOT / "saved_models" / "digits")
    image = next((ROOT / "saved_models" / "digits" / "1" / "golden").glob("*.png"))
    (tmp_path / "seven.png").write_bytes(image.read_bytes())
    code = BLOCKS[number].replace('model="convnet")', f'model="convnet", epochs=1, root="{tmp_path / "made"}")')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_command_it_names_exists():
    for command in sorted(set(re.findall(r"cnnapp ([a-z]+(?: classification)?)", README))):
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


def test_every_target_and_file_it_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z]+)", README, flags=re.MULTILINE)):
        assert f"\n{target}:" in makefile
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
