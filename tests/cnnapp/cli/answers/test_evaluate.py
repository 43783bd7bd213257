"""`cnnapp evaluate`: which options go with which task."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scales", "1,0.5"), "--scales: does not apply to classification, which takes no such options"),
        (("--protocol", "coco"), "--protocol: classification is measured in one way; leave it out"),
    ],
)
def test_options_that_the_task_does_not_take_are_refused(
    command_line, models: Path, options: tuple[str, ...], said: str
):
    status, _, err = command_line("evaluate", "shapes", *options)
    assert (status, said in err) == (2, True), err


def test_a_protocol_that_is_none_is_named_with_those_there_are(command_line, detectors: Path):
    status, _, err = command_line("evaluate", "scattered", "--protocol", "cocoa")
    assert status == 2
    assert "Did you mean 'coco'" in err
