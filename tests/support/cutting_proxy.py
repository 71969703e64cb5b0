"""A TCP proxy that cuts connections after so many bytes, wherever in a message that falls."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_BYTES = 1 << 16
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends a reset, and what was not delivered is lost."""


class CuttingProxy:
    """Passes bytes on between callers and a server until a connection has had its share.

    Parameters
    ----------
    target : text
        ``host:port`` of the server; may be set anew, for later connections.
    shares : iterable of int
        After how many bytes, in both directions together, each connection is cut, one after the other. Connections
        beyond them are not cut.
    """

    def __init__(self, target: str, shares: Iterable[int] = ()) -> None:
        self.target = target
        self.n_cuts = 0
        self._shares = iter(shares)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Cut every open connection."""
        with self._lock:
            sockets = list(self._open)
        for one in sockets:
            _reset(one)

    def close(self) -> None:
        """Take no more connections and cut those that are open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            host, _, port = self.target.rpartition(":")
            try:
                server = socket.create_connection((host, int(port)))
            except OSError:
                _reset(caller)
                continue
            connection = _Connection(self, caller, server, next(self._shares, None))
            with self._lock:
                self._open |= {caller, server}
            connection.start()

    def note_end(self, *sockets: socket.socket, was_cut: bool) -> None:
        """Forget a connection."""
        with self._lock:
            self._open -= set(sockets)
            self.n_cuts += was_cut


class _Connection:
    """One connection: a thread for each direction, and the bytes left to it."""

    def __init__(self, proxy: CuttingProxy, caller: socket.socket, server: socket.socket, n_left: int | None) -> None:
        self._proxy = proxy
        self._ends = (caller, server)
        self._n_left = n_left
        self._lock = threading.Lock()
        self._is_over = False

    def start(self) -> None:
        caller, server = self._ends
        for source, sink in ((caller, server), (server, caller)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        was_cut = False
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                passed, was_cut = self._take_share(data)
                sink.sendall(passed)
                if was_cut:
                    break
        self._end(was_cut=was_cut)

    def _take_share(self, data: bytes) -> tuple[bytes, bool]:
        """Return how much of the data still passes, and whether that was all."""
        with self._lock:
            if self._n_left is None:
                return data, False
            passed = data[: self._n_left]
            self._n_left -= len(passed)
            return passed, not self._n_left

    def _end(self, *, was_cut: bool) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
        for one in self._ends:
            _reset(one)
        self._proxy.note_end(*self._ends, was_cut=was_cut)


def _reset(one: socket.socket) -> None:
    # Shutting down wakes a thread that reads; closing alone would not.
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        one.shutdown(socket.SHUT_RD)
    one.close()


@contextmanager
def cutting_proxy(target: str, shares: Iterable[int] = ()) -> Iterator[CuttingProxy]:
    """Run a proxy in front of a server."""
    proxy = CuttingProxy(target, shares)
    try:
        yield proxy
    finally:
        proxy.close()
