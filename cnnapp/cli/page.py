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
    session: Annotated[
        float | None,
        typer.Option(help="MiB kept for a session: its images and their answers.", show_default="1024"),
    ] = None,
    memory: Annotated[
        float | None, typer.Option(help="MiB kept for all sessions together.", show_default="4096")
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(help="Minutes without use, after which images and answers are removed.", show_default="60"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Heavy jobs at once.", show_default="half the processor cores")
    ] = None,
    queue: Annotated[
        int | None, typer.Option(help="Heavy jobs that wait; further ones are refused.", show_default="32")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Seconds that a heavy job may take; then it is stopped.", show_default="600"),
    ] = None,
) -> None:
    """Start the web page, and open it in a browser.

    The limits can be set by the environment as well, such as CNNAPP_UI_IDLE=15.
    """
    import importlib.util

    from cnnapp.service import ports
    from cnnapp.sessions.limits import PageLimits
    from pipelines.core import device_choice, extras
    from pipelines.core.tensorflow_import import import_tensorflow

    extras.need("the page", "ui")
    given = {"session": session, "memory": memory, "idle": idle, "workers": workers, "queue": queue, "seconds": seconds}
    asked = {name: value for name, value in given.items() if value is not None}
    limits = PageLimits.parse(**{**PageLimits.from_environment().model_dump(), **asked})
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
    # A file larger than all that is kept is refused before it is sent; Streamlit's own limit is a file's 200 MB.
    command += ["--server.maxUploadSize", str(max(1, min(200, int(limits.session))))]
    os.environ.update(limits.to_environment())
    # Become the server rather than start it: whoever stops this process stops the page.
    os.execv(sys.executable, command)
