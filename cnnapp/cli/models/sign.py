"""The command ``cnnapp sign``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnnapp.cli.console import Model, say

__all__ = ["sign"]


def sign(
    model: Model,
    key: Annotated[Path, typer.Option("--key", help="File of the private key (PEM, elliptic curve).")],
    password: Annotated[bool, typer.Option("--password", help="Ask for the password of an encrypted key.")] = False,
) -> None:
    """Sign a saved model with a private key, so that others can verify who answers for it and that it is unchanged.

    The signature is written into the folder of the version, as model.sig, in the format of OpenSSF Model Signing. It
    covers every other file; a change to any, or to the card, makes it invalid, and the model is signed again. Nothing
    is sent over the network.

    Keys are made with OpenSSL: keep private.pem to yourself, and give public.pem to those who verify.

    `openssl ecparam -name prime256v1 -genkey -noout -out private.pem`

    `openssl ec -in private.pem -pubout -out public.pem`

    Example: `cnnapp sign digits --key private.pem`, then `cnnapp verify digits --key public.pem`
    """
    from cnnapp.prediction import model_paths
    from pipelines.artifacts.manifest import SIGNATURE
    from pipelines.artifacts.trust.signature import sign_model

    directory = model_paths.resolve(model)
    secret = typer.prompt("Password of the key", hide_input=True, err=True).encode() if password else None
    count = sign_model(directory, key, secret)
    say(f"{directory / SIGNATURE}: {count} files signed", markup=False, soft_wrap=True)
