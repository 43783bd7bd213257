"""The command that serves saved models over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from cnnapp.cli.console import out, say
from pipelines.core import device_choice, extras
from pipelines.core.errors import ModelError
from pipelines.core.tensorflow_import import import_tensorflow

__all__ = ["serve"]


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Names, name/version, or paths.", metavar="[MODEL]...", show_default="every saved model"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port to listen on; 0 for any free one.",
            show_default="the first free one from 8501 on",
        ),
    ] = None,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 admits other machines.")] = "127.0.0.1",
    replicas: Annotated[int, typer.Option(min=1, help="Processes for each model.")] = 1,
    body: Annotated[float, typer.Option(help="Maximum size of a request in MiB; a larger one gets 413.")] = 32.0,
    pixels: Annotated[int, typer.Option(help="Maximum pixels of an image; a larger one gets 400.")] = 25_000_000,
    seconds: Annotated[float, typer.Option(help="Timeout of a request in seconds; then it times out (504).")] = 60.0,
    queue: Annotated[
        int,
        typer.Option(help="Maximum number of pending requests of a model; further requests get 503 with Retry-After."),
    ] = 128,
    batch: Annotated[int, typer.Option(help="Maximum batch size: requests answered in one call of the model.")] = 32,
    grace: Annotated[float, typer.Option(help="Seconds to finish pending requests when the service stops.")] = 30.0,
) -> None:
    """Serve saved models over HTTP with TensorFlow Serving's REST protocol.

    Concurrent requests are answered in batches. Ctrl-C, or SIGTERM, lets pending requests finish.

    Example: `cnnapp serve digits`
    """
    from cnnapp.prediction import model_paths
    from cnnapp.service import ports
    from cnnapp.service.limits import Limits
    from cnnapp.service.server import Service, run

    extras.need("serving", "ray")
    if device_choice.asks_for_gpu():
        import_tensorflow()  # the models are loaded by other processes; that there is no such device is said here
    limits = Limits.parse(body=body, pixels=pixels, seconds=seconds, queue=queue, batch=batch, grace=grace)
    names = models or list(model_paths.names())
    if not names:
        raise ModelError(model_paths.none_in())
    service = Service(tuple(model_paths.resolve(name) for name in names), address, port, replicas, limits)
    asked = list(service.models())
    say(f"starting {', '.join(f'{name}/{version}' for name, version in asked)}", markup=False, soft_wrap=True)

    def ready(url: str) -> None:
        if port is None and not url.endswith(f":{ports.FIRST}"):
            say(f"port {ports.FIRST} is in use, perhaps by the page; using the next free one", soft_wrap=True)
        out.print(f"listening on {escape(url)}", soft_wrap=True)
        for name, version in asked:
            say(f"  {url}/v1/models/{name}/versions/{version}", markup=False, soft_wrap=True)
        say(f"try it:\n  {_example(url, asked[0][0])}", markup=False, soft_wrap=True)

    run(service, ready)
    say("stopped")


def _example(url: str, name: str) -> str:
    """Return a command that sends an image of one's own to a model of any task."""
    instance = r"{\"instances\": [{\"b64\": \"$(base64 -w0 image.png)\"}]}"
    return f'curl -d "{instance}" {url}/v1/models/{name}:predict'
