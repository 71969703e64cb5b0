"""The program of a worker: it serves what its supervisor tells it to, until that says stop, or is gone."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from typing import Any

from miwake.server.workers.process import STOP

ORDERS = 0
"""The file descriptor of standard input, read as it is."""


def main() -> int:
    """Serve; return the exit status."""
    # Whatever a library prints is no report.
    reports = os.dup(1)
    os.dup2(2, 1)
    task = json.loads(_read_line())
    from miwake.server.cli import configure_logging  # noqa: PLC0415

    configure_logging(worker=task["number"])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_obey, args=(stop,), name="orders", daemon=True).start()
    return _serve(task, stop, reports)


def _serve(task: dict[str, Any], stop: threading.Event, reports: int) -> int:
    # Heavy: what stops a worker must be heard before.
    from miwake.indexer.errors import IndexerError  # noqa: PLC0415
    from miwake.server.errors import ServerError  # noqa: PLC0415
    from miwake.server.lifecycle import serve  # noqa: PLC0415
    from miwake.server.opener import StoreOpener  # noqa: PLC0415
    from miwake.server.settings import Settings  # noqa: PLC0415
    from miwake.server.workers.part import Part  # noqa: PLC0415

    part = Part(number=task["number"], server=task["server"], loads_first=task["loads_first"])
    settings = Settings(**task["settings"])
    try:
        serve(settings, StoreOpener(), stop=stop, announce=lambda address: _report(reports, serving=address), part=part)
    except (ServerError, IndexerError) as error:
        _report(reports, error=str(error))
        return 1
    return 0


def _obey(stop: threading.Event) -> None:
    """Stop when told to, or when there is nobody left to tell; end at once if that goes while stopping."""
    was_told = _read_line() == STOP
    stop.set()
    if was_told and not _read_line():
        os.kill(os.getpid(), signal.SIGKILL)


def _read_line() -> bytes:
    """Return the next line of orders, empty where there is no more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(ORDERS, 1)
        if not byte:
            return b""
        line += byte
    return line


def _report(reports: int, **said: str) -> None:
    with suppress(BrokenPipeError):
        os.write(reports, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    raise SystemExit(main())
