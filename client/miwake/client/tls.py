"""Who the client speaks to, and as whom: TLS and the bearer token."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc

from miwake.client.errors import InvalidQueryError

Pem: TypeAlias = bytes | str | Path
"""Certificates or a key in PEM: the bytes themselves, or the path of their file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the connection is encrypted, and by what the two sides know each other.

    Attributes
    ----------
    root_certificates : bytes, path or None
        Who may have signed the server's certificate, in PEM; None: those that gRPC brings.
    certificate, private_key : bytes, path or None
        The client's own, in PEM, for a server that asks for them; both or neither.
    server_name : text or None
        The name that the server's certificate must bear, where it is not that of the address.
    """

    root_certificates: Pem | None = None
    certificate: Pem | None = None
    private_key: Pem | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            message = (
                "a certificate without its private key, or a key without its certificate; expected both or neither"
            )
            raise InvalidQueryError(message)

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what gRPC connects with.

        Raises
        ------
        InvalidQueryError
            If a file cannot be read, or is no PEM.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.root_certificates, "root certificates"),
            private_key=_read(self.private_key, "private key"),
            certificate_chain=_read(self.certificate, "certificate"),
        )


def _read(pem: Pem | None, what: str) -> bytes | None:
    if pem is None:
        return None
    if isinstance(pem, bytes):
        data, name = pem, what
    else:
        name = f"{what} {pem}"
        try:
            data = Path(pem).read_bytes()
        except OSError as error:
            message = f"{name}: {error.strerror or error}"
            raise InvalidQueryError(message) from error
    if b"-----BEGIN" not in data:
        message = f"{name}: expected PEM, which has lines like -----BEGIN CERTIFICATE-----"
        raise InvalidQueryError(message)
    return data


def check_token(token: str, target: str, tls: Tls | None) -> None:
    """Refuse a token that cannot be sent, or that others could read.

    Raises
    ------
    InvalidQueryError
        If it is empty or no visible ASCII; if the connection is plain and leaves this machine.
    """
    if not (token and token.isascii() and token.isprintable() and " " not in token):
        message = "the token is empty or has other characters than visible ASCII"
        raise InvalidQueryError(message)
    if tls is None and not is_loopback(target):
        message = f"{target}: a token goes to another machine over TLS only; give tls"
        raise InvalidQueryError(message)


def is_loopback(target: str) -> bool:
    """Return whether all addresses of a target, written as gRPC takes it, are of this machine."""
    scheme, _, rest = target.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return True
    addresses = rest.removeprefix("//").split(",") if scheme in ("ipv4", "ipv6", "dns") else [target]
    return all(_is_loopback_host(address.removeprefix("/")) for address in addresses)


def _is_loopback_host(address: str) -> bool:
    host = address[1:].partition("]")[0] if address.startswith("[") else address.rpartition(":")[0] or address
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
