"""How every command connects: its options, and the client that they make."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miwake.client.channel import Connection
from miwake.client.client import Client
from miwake.client.errors import DataFileError
from miwake.client.retry import DEFAULT_RETRY
from miwake.client.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TARGET = "127.0.0.1:50051"

TOKEN_VARIABLE = "MIWAKE_TOKEN"  # noqa: S105 - the name of the variable
"""Holds the token itself, where no file does."""

Target = Annotated[str, typer.Option(help="Address of the server, host:port.")]
Station = Annotated[str, typer.Option(help="The station to ask; not needed where the server has one.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Longest wait for an answer, in seconds.")]
TlsCa = Annotated[
    Path | None,
    typer.Option(help="Speak TLS with a server whose certificate these have signed, PEM.", show_default=False),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help=f"File with the token to show; else the variable {TOKEN_VARIABLE}.", show_default=False),
]


def connect(target: str, *, station: str, timeout: float, tls_ca: Path | None, token_file: Path | None) -> Client:
    """Return a client as the options of a command want it.

    Raises
    ------
    MiwakeError
        If a file cannot be read, or the token must not be sent.
    """
    return Client(
        target, station=station, timeout_s=timeout, tls=tls_of(tls_ca), token=token_of(token_file, os.environ)
    )


def connection(target: str, *, tls_ca: Path | None, token_file: Path | None) -> Connection:
    """Return how to connect, for what the client has no call for."""
    return Connection.of(target, tls=tls_of(tls_ca), token=token_of(token_file, os.environ), retry=DEFAULT_RETRY)


def tls_of(tls_ca: Path | None) -> Tls | None:
    """Return the TLS that the options ask for."""
    return None if tls_ca is None else Tls(root_certificates=tls_ca)


def token_of(token_file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the token to show, None where there is none.

    Raises
    ------
    DataFileError
        If the file cannot be read.
    """
    if token_file is None:
        return environment.get(TOKEN_VARIABLE) or None
    try:
        return token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{token_file}: {getattr(error, 'strerror', None) or error}"
        raise DataFileError(message) from error
