"""Names of saved models, and what only looks like one."""

from __future__ import annotations

import pytest

from pipelines.core.errors import ConfigError
from pipelines.storage.names import LONGEST, check_name, fault_of, is_component


@pytest.mark.parametrize(
    "name", ["digits", "garden-birds.2", "a_b", "7-segments", "Vögel", "鳥", "µm", "v1.0", "con-1"]
)
def test_a_plain_name_is_taken(name: str):
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "../../x", "/x", "x/y", "x\\y", "C:x", "~x", "-x", ".x", "_x", "x\0", "x\n", "x y",
        "x\u202ey", "x\u200b", "x\u2215y", "x\uff0fy", "x\u29f8y", "x\u2044y", "½", "\u2100x", "x\uff0e", "\u2025x",
        "7", "٧", "x@1", "x%2fy", "x?", "x*", "x:y", "x.", "x...", "\udcff", "e\u0301",
        "CON", "con", "nul.txt", "Aux", "COM1", "com¹", "LPT9.x", "ＮＵＬ", "a" * (LONGEST + 1), "鳥" * 41,
    ],
)  # fmt: skip
def test_what_is_no_safe_component_is_refused(name: str):
    with pytest.raises(ConfigError, match=r"^name: received .*; (expected|at most)") as caught:
        check_name(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_number_alone_is_a_version():
    assert "not a number alone" in str(fault_of("7"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "C:x", "a\0b", "a\nb", "/etc/passwd"])
def test_a_file_that_is_listed_stays_in_its_folder(name: str):
    assert not is_component(name)
    assert is_component("input-0.png")
