"""What does not fit together on the page, said with what to do about it."""

from __future__ import annotations

from pipelines.core.errors import ConfigError

__all__ = ["misfit"]

_ADVICE = {
    "`kernel_size`": "take a smaller kernel, less dilation, more padding or a larger input",
    "`padding_mode`": "take less padding, padding that holds zeros (constant), or a larger input",
}


def misfit(error: ValueError) -> ConfigError:
    """Return what a layer says of arguments that do not fit, with advice.

    Args:
        error: raised by the layer.

    Example:
        >>> print(misfit(ValueError("`padding_mode` 'wrap' can pad at most 1.")))
        Padding by 'wrap' can pad at most 1; take less padding, padding that holds zeros (constant), or a larger input.
    """
    said = str(error)
    advice = next((advice for argument, advice in _ADVICE.items() if said.startswith(argument)), "take other numbers")
    said = said.replace("`kernel_size` must", "The kernel must").replace("`padding_mode` '", "Padding by '")
    return ConfigError(f"{said.removesuffix('.')}; {advice}.")
