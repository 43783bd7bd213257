"""The panels of tasks, and the one for tasks that have none, driven by Streamlit's own test harness."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from ui.components.panel import Panel
from ui.components.panels import PANELS, find_panel

PAGE = """
import io
from types import SimpleNamespace

import numpy as np
from drawings import draw_shape

from cnnapp.prediction.output_parsing import to_answers
from cnnapp.reports.comparison import compare
from cnnapp.results.table import answer_type
from ui.components import downloads
from ui.components.panel import Look
from ui.components.panels import PANELS, find_panel

if {without_row}:
    find_panel("regression")
    PANELS.pop("regression")
buffer = io.BytesIO()
draw_shape("disc", 1).save(buffer, "PNG")
image = buffer.getvalue()
card = SimpleNamespace(task="regression", name="ages", version=1, classes=[], input={{}}, description="Estimates ages.")
model = SimpleNamespace(card=card, answer_type=answer_type("regression"))
first, second = to_answers("regression", {{"values": np.array([2.5, -1.0], "float32")}}, ["a.png", "b.png"], [])
panel = find_panel("regression")
assert panel.options(model) == {{}}
look = panel.look(model)
assert look == Look()
panel.show(model, first, image, look)
downloads.table([first, second], [], model, panel)
downloads.files([first, second], [], model, panel, {{"a.png": image, "b.png": image}}, look)
panel.compare(compare(first, second), image, ("ages/1", "ages/2"))
"""


@pytest.fixture
def own_task(monkeypatch: pytest.MonkeyPatch):
    """A fourth task, known to the page as it is to other processes."""
    monkeypatch.setenv("CNNAPP_IMPORT", "regression_task")
    find_panel("regression")
    monkeypatch.setitem(PANELS, "regression", PANELS["regression"])


def shown(without_row: bool) -> AppTest:
    page = AppTest.from_string(PAGE.format(without_row=without_row), default_timeout=60)
    page.run()
    assert not page.exception
    return page


def test_a_task_of_ones_own_has_its_panel(own_task):
    page = shown(without_row=False)
    assert page.metric[0].value == "2.500"
    assert page.dataframe[0].value["Image"].tolist() == ["a.png", "b.png"]
    assert page.dataframe[0].value["Value"].tolist() == ["2.5", "-1"]


def test_a_task_without_a_panel_is_shown_all_the_same(own_task):
    page = shown(without_row=True)
    assert page.subheader[0].value == "2.500"
    assert '"value":2.5' in page.json[0].value.replace(" ", "")
    labels = [button.label for button in page.get("download_button")]
    assert labels == ["Download CSV", "Download JSON", "Download pictures"]
    assert [caption.value for caption in page.caption] == ["ages/1", "ages/2"]


def test_panels_say_what_differs_by_task():
    assert find_panel("nobody's").__class__ is Panel
    panels = {task: find_panel(task) for task in ("classification", "detection", "segmentation")}
    assert {task: panel.evidence for task, panel in panels.items()} == {
        "classification": "Evidence",
        "detection": "Confidence map",
        "segmentation": "Confidence map",
    }
    assert panels["classification"].opacity is None
    assert len({panel.decision for panel in panels.values()} | {Panel.decision}) == 4
