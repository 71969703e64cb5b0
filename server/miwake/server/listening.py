"""Where the server may listen: on the loopback as it is, elsewhere only with TLS and callers who prove who they are."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from miwake.server.errors import AddressError

if TYPE_CHECKING:
    from miwake.server.settings import Settings

LOOPBACK = "127.0.0.1"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def listened_host(settings: Settings) -> str:
    """Return the host part of the address to listen on, in brackets where it has colons.

    Raises
    ------
    AddressError
        If it is no IP address, or not a loopback address and TLS or credentials are missing; the message says which.
    """
    address = _parsed(settings.address)
    missing = []
    if settings.tls_certificate is None:
        missing.append("TLS (--tls-certificate and --tls-key)")
    if settings.token_file is None and settings.tls_client_ca is None:
        missing.append("credentials (--token-file, or --tls-client-ca for client certificates)")
    if missing and not address.is_loopback:
        message = f"{settings.address}: not a loopback address, which needs {' and '.join(missing)}"
        raise AddressError(message)
    return _host(address)


def metrics_host(settings: Settings) -> str:
    """Return the address, without brackets, that metrics are served on.

    Raises
    ------
    AddressError
        If it is no IP address.
    """
    if settings.metrics_address is not None:
        return str(_parsed(settings.metrics_address))
    address = _parsed(settings.address)
    return str(address) if address.is_loopback else LOOPBACK


def _parsed(address: str) -> Address:
    try:
        return ipaddress.ip_address(LOOPBACK if address == "localhost" else address)
    except ValueError as error:
        message = f"{address}: expected an IP address such as {LOOPBACK}"
        raise AddressError(message) from error


def _host(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
