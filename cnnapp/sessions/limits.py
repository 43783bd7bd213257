"""What the page takes on: how much of people's images it keeps, how long, and how much it computes at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import ConfigError

__all__ = ["PageLimits"]

_PREFIX = "CNNAPP_UI_"
_MEGABYTE = 2**20


class PageLimits(BaseModel):
    """The limits of the page.

    Example:
        >>> PageLimits.from_environment({"CNNAPP_UI_IDLE": "15"}).idle
        15.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: float = Field(1024.0, gt=0, description="MiB kept for a session: its images and their answers.")
    memory: float = Field(4096.0, gt=0, description="MiB kept for all sessions together.")
    idle: float = Field(60.0, gt=0, description="Minutes without use, after which what is kept is removed.")
    workers: int = Field(0, ge=0, description="Heavy jobs at once; 0 is half the processor cores.")
    queue: int = Field(32, ge=1, description="Heavy jobs that wait; further ones are refused.")
    seconds: float = Field(600.0, gt=0, description="Seconds that a heavy job may take; then it is stopped.")

    @property
    def session_bytes(self) -> int:
        """Bytes kept for a session."""
        return int(min(self.session, self.memory) * _MEGABYTE)

    @property
    def memory_bytes(self) -> int:
        """Bytes kept for all sessions together."""
        return int(self.memory * _MEGABYTE)

    @property
    def at_once(self) -> int:
        """Heavy jobs at once. Each uses several cores by itself, so that more of them are hardly sooner done."""
        return self.workers or max(1, (os.cpu_count() or 1) // 2)

    @classmethod
    def parse(cls, **given: Any) -> PageLimits:
        """Check limits.

        Raises:
            ConfigError: naming the one that cannot be, and what was expected.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{name}: received {first['input']!r}; {first['msg'].lower()}") from None

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> PageLimits:
        """Return the limits that the environment sets, such as ``CNNAPP_UI_IDLE``; the defaults of others.

        Raises:
            ConfigError: naming a variable whose value cannot be.
        """
        given = {
            name: variables[_PREFIX + name.upper()] for name in cls.model_fields if _PREFIX + name.upper() in variables
        }
        try:
            return cls.parse(**given)
        except ConfigError as error:
            name, rest = str(error).split(":", 1)
            raise ConfigError(f"{_PREFIX}{name.upper()}:{rest}") from None

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads these limits from."""
        return {_PREFIX + name.upper(): str(value) for name, value in self}
