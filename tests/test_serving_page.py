"""docs/serving.md: what it says of signatures and warm-up is what the shipped models have."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from cnnapp.cli.main import app
from cnnapp.service.limits import Limits
from cnnapp.service.metrics import REASONS, Metrics
from pipelines.classification.serving import ImageServing
from pipelines.detection.serving import ScanServing
from pipelines.segmentation.serving import MaskServing
from places import ROOT

PAGE = (ROOT / "docs" / "serving.md").read_text()
MODELS = {"classification": "digits", "detection": "digit-scenes", "segmentation": "digit-segmentation"}


@pytest.mark.parametrize("task", MODELS)
def test_inputs_and_outputs_are_those_of_the_models(task: str):
    import tensorflow as tf

    signatures = tf.saved_model.load(str(ROOT / "saved_models" / MODELS[task] / "1")).signatures
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {task} |")).split("|")[2]
    outputs = signatures["serving_default"].structured_outputs
    assert set(re.findall(r"`([a-z_]+)`", row)) == set(outputs)
    for kind in {tensor.dtype.name for tensor in outputs.values()}:
        assert kind in row
    for name, signature in signatures.items():
        assert f"`{name}`" in PAGE
        for given in signature.structured_input_signature[1]:
            assert f"`{given}`" in PAGE or name in ("score_map", "windows", "logits")


def test_warm_up_is_as_it_says():
    assert ImageServing.warmup_batches == (1, 8, 32)
    assert MaskServing.warmup_batches == ScanServing.warmup_batches == (1, 2)


def test_limits_of_the_service_are_as_it_says():
    found = re.findall(r"^\| `--([a-z-]+)` \| ([\d,]+) \|", PAGE, flags=re.MULTILINE)
    rows = {name.replace("-", "_"): value for name, value in found}
    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == Limits().model_dump()
    options = get_command(app).commands["serve"].params  # type: ignore[attr-defined]
    assert {option.name: option.default for option in options if option.name in rows} == Limits().model_dump()


def test_figures_of_the_service_are_as_it_says():
    rows = dict(re.findall(r"^\| `(cnnapp_[a-z_]+)` \| ([a-z, ]+) \|", PAGE, flags=re.MULTILINE))
    metrics = Metrics()
    metrics.answered("a", 1, "b", 200, 0.1, images=1, batch=1)
    metrics.held("a", 1, 0)
    metrics.refused("body")
    metrics.retried("a", 1)
    metrics.described("a", 1, [{"process": 1, "memory": 1}])
    found = {}
    for name, labels in re.findall(r"^(cnnapp_\w+)\{(.*?)\}", metrics.page().decode(), flags=re.MULTILINE):
        kept = set(re.findall(r"(\w+)=", labels)) - {"le"}
        found[re.sub(r"_(bucket|sum|count)$", "", name)] = kept
    assert {name: set(labels.split(", ")) for name, labels in rows.items()} == found


def test_reasons_of_refusals_are_as_it_says():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `cnnapp_refusals_total`"))
    assert set(re.findall(r"`([a-z_]+)`", row.split("|")[3])) == set(REASONS)
    code = "".join(path.read_text() for path in (ROOT / "cnnapp" / "service").rglob("*.py"))
    assert set(re.findall(r'reason="([a-z_]+)"', code)) <= set(REASONS)
