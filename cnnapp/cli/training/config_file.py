"""Options of a training in a file: written by ``--print-config`` and at the start of each run, read by ``--config``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cnnapp.reports.training_command import recorded
from pipelines.core.errors import ConfigError, DataError, unknown
from pipelines.core.options import GROUPS, options_of
from pipelines.intake.documents import parse_json, parse_yaml
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import read_bounded
from pipelines.training.config import TrainingConfig

__all__ = ["ConfigFile", "read", "to_yaml"]

_OWN = ("task", "name")


@dataclass(frozen=True)
class ConfigFile:
    """What a file of options holds.

    Args:
        path: of the file.
        options: fields of the configuration, as they stand there.
        task: that it is for; None where it does not say.
        name: of the saved model; None where it does not say.
    """

    path: Path
    options: dict[str, Any] = field(default_factory=dict)
    task: str | None = None
    name: str | None = None

    def options_for(self, task: str, config: type[TrainingConfig]) -> dict[str, Any]:
        """Return the options, once they are known to fit.

        Args:
            task: the name of the task that is trained.
            config: its configuration.

        Raises:
            ConfigError: if the file is for another task, or an option does not exist or does not fit; with the nearest
                name, and the file's.
        """
        if self.task not in (None, task):
            raise ConfigError(
                f"{self.path}: is a configuration of {self.task}; use it with "
                f"`cnnapp train {self.task} --config {self.path}`"
            )
        for name in self.options:
            if name not in config.model_fields:
                raise ConfigError(f"{self.path}: {unknown('option', name, [*config.model_fields, *_OWN])}")
        try:
            config.parse(**self.options)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from None
        return self.options


def read(path: Path) -> ConfigFile:
    """Read options from YAML or JSON, or from the card of a saved model.

    Args:
        path: of the file. Its keys are the names of options, with ``_`` or ``-``; ``task`` and ``name`` may stand
            beside them. Of a card what stands under ``training`` is taken, but not its name.

    Raises:
        ConfigError: if it cannot be read, or is not a table of names and values.

    Example:
        read(Path("runs/birds/run.yaml")).options["epochs"]
    """
    if not path.exists():
        raise ConfigError(f"{path}: cannot be read: No such file or directory")
    try:
        text = read_bounded(path, LIMITS.yaml_bytes, "configuration")
    except DataError as error:
        raise ConfigError(str(error)) from None
    try:
        content = (parse_json if path.suffix.lower() == ".json" else parse_yaml)(text, path)
    except DataError as error:
        raise ConfigError(f"{path}: is not valid YAML or JSON: {str(error).removeprefix(f'{path}: ')}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: received {type(content).__name__}; expected names of options and their values")
    if isinstance(content.get("training"), dict):
        return ConfigFile(path, recorded(content["training"]), content.get("task"))
    options = {str(name).replace("-", "_"): value for name, value in content.items()}
    task, name = (options.pop(own, None) for own in _OWN)
    return ConfigFile(path, options, None if task is None else str(task), None if name is None else str(name))


def to_yaml(task: str, name: str | None, config: TrainingConfig) -> str:
    """Write a whole configuration; what is chosen from the data is ``null``, with a comment on what that will be.

    Args:
        task: its name.
        name: of the saved model; None leaves it out.
        config: the options.

    Returns:
        YAML that :func:`read` takes.
    """
    values, options = config.model_dump(mode="json"), options_of(type(config))
    lines = [_line("task", task), *([] if name is None else [_line("name", name)])]
    for group, heading in GROUPS.items():
        lines += ["", f"# {heading}"]
        for each in options.values():
            if each.group == group:
                comment = f"  # {each.otherwise}" if values[each.name] is None and each.otherwise else ""
                lines.append(_line(each.name, values[each.name]) + comment)
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=isinstance(value, list), allow_unicode=True, width=10**6)
    return f"{name}: " + text.removesuffix("...\n").rstrip("\n")
