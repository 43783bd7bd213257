"""The command that serves saved models over HTTP."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cnnapp.cli.console import out, say
from cnnapp.service.front import tokens
from pipelines.core import device_choice, extras
from pipelines.core.errors import ConfigError, ModelError
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
    body: Annotated[
        float, typer.Option(help="Maximum size of a request in MiB, decompressed; a larger one gets 413.")
    ] = 32.0,
    images: Annotated[int, typer.Option(help="Maximum number of images in a request; more get 400.")] = 128,
    pixels: Annotated[int, typer.Option(help="Maximum pixels of an image; a larger one gets 400.")] = 25_000_000,
    seconds: Annotated[float, typer.Option(help="Timeout of a request in seconds; then it times out (504).")] = 60.0,
    queue: Annotated[
        int,
        typer.Option(
            help="Maximum number of pending requests of a model, shared fairly by its clients; further requests get "
            "503 with Retry-After."
        ),
    ] = 128,
    batch: Annotated[int, typer.Option(help="Maximum batch size: requests answered in one call of the model.")] = 32,
    grace: Annotated[float, typer.Option(help="Seconds to finish pending requests when the service stops.")] = 30.0,
    headers: Annotated[
        float, typer.Option(help="Maximum size of a request's headers in KiB; larger ones get 431.")
    ] = 64.0,
    header_seconds: Annotated[
        float, typer.Option(help="Timeout of a request's headers in seconds; then the connection is closed (408).")
    ] = 10.0,
    connections: Annotated[
        int,
        typer.Option(help="Maximum number of connections; idle ones of the client with most are closed for new ones."),
    ] = 1024,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar=tokens.VARIABLE,
            help="Require a token of this file, which has one a line: clients send 'Authorization: Bearer TOKEN'. It "
            "is read again on SIGHUP.",
            show_default="no token",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name by which clients reach the service (header Host), such as gpu.example.org; can be repeated.",
            show_default="localhost alone; any name if --address admits other machines",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="A web page whose scripts may use the service (header Origin), such as http://localhost:3000; can be "
            "repeated.",
            show_default="no page",
        ),
    ] = None,
) -> None:
    """Serve saved models over HTTP with TensorFlow Serving's REST protocol.

    Concurrent requests are answered in batches, those of each client in turn. Ctrl-C, or SIGTERM, lets pending requests
    finish.

    Whoever reaches the address can use the models. For other machines, require a token, and put a proxy with TLS in
    front, since tokens and images travel unencrypted.

    Example: `cnnapp serve digits`

    Example: `cnnapp serve digits --address 0.0.0.0 --token-file tokens.txt`
    """
    from cnnapp.prediction import model_paths
    from cnnapp.service import ports
    from cnnapp.service.limits import Limits
    from cnnapp.service.server import Service, run

    extras.need("serving", "ray")
    from cnnapp.service.front.access import Access

    if device_choice.asks_for_gpu():
        import_tensorflow()  # the models are loaded by other processes; that there is no such device is said here
    limits = Limits.parse(
        body=body, images=images, pixels=pixels, seconds=seconds, queue=queue, batch=batch, grace=grace,
        headers=headers, header_seconds=header_seconds, connections=connections,
    )  # fmt: skip
    known = None if token_file is None else tokens.Tokens(token_file)
    access = Access(address, tuple(allow_host or ()), tuple(allow_origin or ()), known)
    names = models or list(model_paths.names())
    if not names:
        raise ModelError(model_paths.none_in())
    service = Service(tuple(model_paths.resolve(name) for name in names), address, port, replicas, limits, access)
    asked = list(service.models())
    say(f"starting {', '.join(f'{name}/{version}' for name, version in asked)}", markup=False, soft_wrap=True)

    if known is None and not access.local:
        say(
            f"--address {address}: whoever reaches it can use the models; --token-file requires a token", soft_wrap=True
        )
    if known is not None and tokens.readable_by_others(known.path):
        say(f"warning: other users can read {escape(str(known.path))}; `chmod 600` keeps it to you", soft_wrap=True)

    def reload() -> None:
        if known is None:
            return
        try:
            say(f"{known.read()} tokens read from {escape(str(known.path))}", soft_wrap=True)
        except ConfigError as error:
            say(f"the tokens stay as they were: {escape(str(error))}", soft_wrap=True)

    def ready(url: str) -> None:
        if port is None and not url.endswith(f":{ports.FIRST}"):
            say(f"port {ports.FIRST} is in use, perhaps by the page; using the next free one", soft_wrap=True)
        out.print(f"listening on {escape(url)}", soft_wrap=True)
        for name, version in asked:
            say(f"  {url}/v1/models/{name}/versions/{version}", markup=False, soft_wrap=True)
        say(f"try it:\n  {_example(url, asked[0][0], known)}", markup=False, soft_wrap=True)

    run(service, ready, reload)
    say("stopped")


def _example(url: str, name: str, known: tokens.Tokens | None) -> str:
    """Return a command that sends an image of one's own to a model of any task."""
    instance = r"{\"instances\": [{\"b64\": \"$(base64 -w0 image.png)\"}]}"
    token = "" if known is None else f'-H "Authorization: Bearer $(grep -m1 ^[^#] {shlex.quote(str(known.path))})" '
    return f'curl {token}-d "{instance}" {url}/v1/models/{name}:predict'
