"""The list of planted faults: each can be planted, is Python then, and is of the package that it is listed under."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from faults import FAULTS, Fault
from planted_faults import main, place_of

from places import ROOT


def test_there_are_forty_in_all_packages():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 40
    found = Counter(place_of(fault, ROOT)[0].relative_to(ROOT).parts[0] for fault in FAULTS)
    assert found == {"layers": 12, "pipelines": 14, "cnnapp": 10, "ui": 4}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault: Fault):
    path, line, text, planted = place_of(fault, ROOT)
    source = path.read_text()
    assert text.strip() in source.splitlines()[line - 1]
    whole, broken = (ast.dump(ast.parse(code)) for code in (source, source.replace(text, planted)))
    assert whole != broken


def test_a_line_that_is_gone_is_named():
    with pytest.raises(ValueError, match="gone: no line of the packages, or more than one, contains 'no such line'"):
        place_of(Fault("gone", "no such line", "", ""), ROOT)


def test_a_fault_is_caught_and_taken_out_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tree = tmp_path / "tree"
    module, test = tree / "pipelines" / "images" / "boxes.py", tree / "tests" / "pipelines" / "images" / "test_boxes.py"
    for path, text in {
        module: "def area(first, second, shared):\n    return first + second - shared\n",
        test: "from pipelines.images.boxes import area\n\ndef test_area():\n    assert area(3, 2, 1) == 4\n",
        tree / "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-ra"\nmarkers = ["slow: x"]\n',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = module.read_text()
    faults = (Fault("a", "- shared", "", "x"), Fault("b", "first + second", "second + first", "nothing"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planted_faults.FAULTS", faults)
        status = main(["--tree", str(tree), "--json", str(tmp_path / "found.json")])
    out = capsys.readouterr().out
    assert status == 1
    assert "caught       a" in out
    assert "pipelines/images/boxes.py:2  tests/pipelines/images/test_boxes.py::test_area" in out
    assert "not caught   b" in out
    assert out.endswith("1 of 2 caught\n")
    assert module.read_text() == before
