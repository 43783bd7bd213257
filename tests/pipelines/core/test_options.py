"""What a help text, a command line and a file say of the fields of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from pipelines.core.options import GROUPS, Joined, option, options_of
from pipelines.tasks.registry import find_task, task_names


class Config(BaseModel):
    size: Annotated[tuple[Annotated[int, Field(ge=1, le=9)], ...], Joined("x", "SIZE")] | None = option(
        None, "A size.", group="network", otherwise="by the images"
    )
    share: float = option(0.5, "A share.", group="training", ge=0, lt=1)
    rate: float | None = option(None, "A rate.", group="training", common=True, gt=0)
    kind: Literal["a", "b"] | None = option(None, "A kind.", group="data")
    number: Literal[1, 3] = option(1, "A number.", group="run")
    path: Path | None = option(None, "A path.", group="run")
    on: bool | None = option(None, "A switch.", group="augmentation")
    either: int | str = option(1, "Either.", group="run")
    plain: int = Field(3, description="Plain.")


def test_types_choices_and_ranges_are_those_of_the_fields():
    found = options_of(Config)
    assert {name: each.kind for name, each in found.items()} == {
        "size": str, "share": float, "rate": float, "kind": str, "number": int, "path": Path, "on": bool,
        "either": str, "plain": int,
    }  # fmt: skip
    assert found["share"].help == "A share. At least 0, below 1."
    assert found["rate"].help == "A rate. Above 0."
    assert found["size"].help == "A size. 1 to 9."
    assert found["kind"].help == "A kind. One of: a, b."
    assert (found["size"].otherwise, found["rate"].common, found["size"].common) == ("by the images", True, False)


def test_options_of_a_group_stand_together_in_the_order_of_groups():
    groups = [each.group for each in options_of(Config).values()]
    assert groups == sorted(groups, key=list(GROUPS).index)
    assert options_of(Config)["plain"].group in GROUPS


def test_another_default_leaves_the_option_what_it_was():
    class Heir(Config):
        rate: float | None = 0.5
        size: Annotated[tuple[int, ...], Joined("x", "SIZE")] = (8, 8)

    found = options_of(Heir)
    assert (found["rate"].default, found["rate"].help, found["rate"].common) == (0.5, "A rate.", True)
    assert (found["size"].help, found["size"].group, found["size"].text((8, 8))) == ("A size.", "network", "8")


def test_a_group_that_is_none_is_refused():
    with pytest.raises(ValueError, match="group: received 'net'"):
        option(1, "A number.", group="net")


@pytest.mark.parametrize("name", task_names())
def test_every_field_of_a_task_is_documented_and_grouped(name: str):
    config = find_task(name).config
    for field in config.model_fields.values():
        assert field.description
        assert field.description.endswith("."), field
        assert isinstance(field.json_schema_extra, dict), f"{field}: is a plain Field; use option()"
    common = [each for each in options_of(config).values() if each.common]
    assert 8 <= len(common) <= 9  # and --name
    # What is left open is explained.
    assert all(each.otherwise for each in options_of(config).values() if each.default is None)


@pytest.mark.parametrize("name", task_names())
def test_written_values_are_read_again(name: str):
    config = find_task(name).config
    given = {
        "image_size": (64, 96), "window": (32, 40), "crop": (96, 96), "scales": (1.0, 0.7, 0.123456789),
        "loss": ("focal", "dice"), "learning_rate": 1e-7, "flip": False, "data": "a b",
    }  # fmt: skip
    parsed = config.parse(**{key: value for key, value in given.items() if key in config.model_fields})
    for key, each in options_of(config).items():
        value = getattr(parsed, key)
        if key in given:
            words = each.words(value)
            read = words[0] == each.flag if isinstance(value, bool) else words[1]
            assert getattr(config.parse(**{key: read}), key) == value
