"""Holding an address that several worker processes listen on, so that nobody else does.

The kernel lets sockets share a port only where all of them ask for it (SO_REUSEPORT, one user). The holder never
listens: it keeps everyone out who does not ask. Another server's holder does ask, so it must be kept out by the rest.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from miwake.server.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def held_address(host: str, port: int) -> Iterator[int]:
    """Keep an address from all but this process's workers meanwhile, and give its port.

    Parameters
    ----------
    host : text
        An IP address, in brackets where it has colons.
    port : int
        0 takes a free one.

    Raises
    ------
    AddressError
        If the address is taken, or cannot be listened on here.
    """
    with socket.socket(_family(host), socket.SOCK_STREAM) as holder, socket.socket(socket.AF_UNIX) as name:
        try:
            # Of two that start at once, both may come past this line: connections of a server that has just ended
            # must not be in the way, so that sockets that do not listen are not in each other's either.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((host.strip("[]"), port))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound = int(holder.getsockname()[1])
            # Only one of them comes past this one. A name in the abstract space goes when its process does.
            name.bind(f"\0miwake-serve/{host}:{bound}")
        except OSError as error:
            raise taken(host, port) from error
        yield bound


def taken(host: str, port: int) -> AddressError:
    """Return the error for an address that another server listens on."""
    return AddressError(f"{host}:{port}: cannot be listened on: is another server running there?")


def _family(host: str) -> socket.AddressFamily:
    with suppress(ValueError):
        if ipaddress.ip_address(host.strip("[]")).version == 6:
            return socket.AF_INET6
    return socket.AF_INET
