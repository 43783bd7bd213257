"""Every kind of layer has tests in the contract that runs on a second backend."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONTRACT = re.findall(r'^    "(test_\w+)",$', (HERE / "conftest.py").read_text(), flags=re.MULTILINE)
# What is no family of layers, and what belongs to one whose contract stands in another file.
OTHERS = {
    "test_conv_ops.py",
    "test_initializers.py",
    "test_dilated_conv.py",
    "test_tiled_conv.py",
    "test_unshared_conv.py",
}
KINDS = [
    path
    for folder in ("convolutional", "normalization", "pooling")
    for path in sorted((HERE / folder).glob("test_*.py"))
    if path.name not in OTHERS
]


def names_in(path: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", path.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("path", KINDS, ids=lambda path: path.stem)
def test_a_kind_of_layer_has_a_contract(path: Path):
    assert names_in(path) & set(CONTRACT)


def test_every_name_of_the_contract_is_a_test():
    assert set(CONTRACT) <= set().union(*map(names_in, HERE.rglob("test_*.py")))
