"""What a service takes on: how large, how long, how much at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import ConfigError

__all__ = ["Limits"]


class Limits(BaseModel):
    """The limits of a service.

    Example:
        >>> Limits.parse(body=8).pixels
        25000000
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    body: float = Field(32.0, gt=0, le=1024, description="MiB of a request; a larger one is refused (413).")
    images: int = Field(128, ge=1, description="Images of a request; more are refused (400).")
    pixels: int = Field(25_000_000, gt=0, description="Pixels of an image, read from its header; refused (400).")
    seconds: float = Field(60.0, gt=0, description="Seconds for a request; then it times out (504).")
    queue: int = Field(128, ge=1, description="Requests a model queues; further requests get 503 with Retry-After.")
    batch: int = Field(32, ge=1, description="Requests that are answered in one call at most.")
    grace: float = Field(30.0, gt=0, description="Seconds that requests in flight are given when the service stops.")
    headers: float = Field(64.0, ge=1, le=1024, description="KiB of a request's headers; more are refused (431).")
    header_seconds: float = Field(
        10.0, gt=0, description="Seconds for the headers of a request; then it is closed (408)."
    )
    connections: int = Field(1024, ge=1, description="Connections; idle ones of whoever has most make room for others.")

    @classmethod
    def parse(cls, **given: float) -> Limits:
        """Check limits.

        Raises:
            ConfigError: naming the one that cannot be, and what was expected.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]).replace("_", "-")
            raise ConfigError(f"{name}: received {first['input']!r}; {first['msg'].lower()}") from None
