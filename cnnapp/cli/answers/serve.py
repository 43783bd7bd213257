"""The command that serves saved models over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from cnnapp.cli.console import out
from pipelines.core import extras
from pipelines.core.errors import ModelError

__all__ = ["serve"]


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Names, name/version, or paths; the newest version of every saved model by default."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port to listen on; 0 for any that is free.",
            show_default="the first that is free from 8501 on",
        ),
    ] = None,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    replicas: Annotated[int, typer.Option(min=1, help="Processes a model.")] = 1,
    body: Annotated[float, typer.Option(help="MiB of a request; a larger one is refused (413).")] = 32.0,
    pixels: Annotated[int, typer.Option(help="Pixels of an image; a larger one is refused (400).")] = 25_000_000,
    seconds: Annotated[float, typer.Option(help="Seconds for a request; then it is given up (504).")] = 60.0,
    queue: Annotated[int, typer.Option(help="Requests that a model holds; more are told to come again (503).")] = 128,
    batch: Annotated[int, typer.Option(help="Requests that are answered in one call at most.")] = 32,
    grace: Annotated[float, typer.Option(help="Seconds for requests in flight when the service stops.")] = 30.0,
) -> None:
    """Serve saved models over HTTP, by TensorFlow Serving's REST protocol.

    Requests that come at the same time are answered together. Ctrl-C, or SIGTERM, lets those in flight finish.
    """
    from cnnapp.prediction import model_paths
    from cnnapp.service import ports
    from cnnapp.service.limits import Limits
    from cnnapp.service.server import Service, run

    extras.need("serving", "ray")
    limits = Limits.parse(body=body, pixels=pixels, seconds=seconds, queue=queue, batch=batch, grace=grace)
    names = models or list(model_paths.names())
    if not names:
        raise ModelError(model_paths.none_in())
    service = Service(tuple(model_paths.resolve(name) for name in names), address, port, replicas, limits)
    asked = list(service.models())
    out.print(f"starting {', '.join(f'{name}/{version}' for name, version in asked)}", markup=False, soft_wrap=True)

    def ready(url: str) -> None:
        if port is None and not url.endswith(f":{ports.FIRST}"):
            out.print(f"port {ports.FIRST} is taken, maybe by the page; this is the next that is free", soft_wrap=True)
        out.print(f"listening on {escape(url)}", soft_wrap=True)
        for name, version in asked:
            out.print(f"  {url}/v1/models/{name}/versions/{version}", markup=False, soft_wrap=True)
        out.print(f"try it:\n  {_example(url, asked[0][0])}", markup=False, soft_wrap=True)

    run(service, ready)
    out.print("stopped")


def _example(url: str, name: str) -> str:
    """Return a command that asks a model of any task for an image of one's own."""
    instance = r"{\"instances\": [{\"b64\": \"$(base64 -w0 image.png)\"}]}"
    return f'curl -d "{instance}" {url}/v1/models/{name}:predict'
