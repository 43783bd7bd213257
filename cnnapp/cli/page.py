"""The command ``cnnapp ui``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ui"]


def ui(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the page.", show_default="the first free one from 8501 on"),
    ] = None,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 admits other machines.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Start the web page, and open it in a browser."""
    import importlib.util

    from cnnapp.service import ports
    from pipelines.core import device_choice, extras
    from pipelines.core.tensorflow_import import import_tensorflow

    extras.need("the page", "ui")
    if device_choice.asks_for_gpu():
        import_tensorflow()  # that there is no such device is said here, not on the page
    with ports.hold(address, port) as listener:  # that it is taken is said here, with what to do
        port = listener.getsockname()[1]
    # The page imports this package, not the other way round; here it is only a script to start.
    found = importlib.util.find_spec("ui")
    assert found is not None
    assert found.origin is not None
    script = Path(found.origin).parent / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.address", address, "--server.headless", str(not browser).lower()]
    command += ["--browser.gatherUsageStats", "false", "--client.toolbarMode", "minimal"]
    # Become the server rather than start it: whoever stops this process stops the page.
    os.execv(sys.executable, command)
