"""``miwake-serve``: serve the stations of a store."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from miwake.server.commands import verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.server.settings import Settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)

M_ARENA_MAX = -8
"""The C library's option (glibc's malloc.h)."""

ENVIRONMENT = {
    # One thread for each library's own pool: there is one compute thread, and pools beside it only cost.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Two heaps for all threads, not one for each few: memory stays what it was after the first minutes.
    "MALLOC_ARENA_MAX": "2",
    # What gRPC's core has to say of its own is no JSON, and what matters of it reaches us as an error.
    "GRPC_VERBOSITY": "NONE",
}
"""What the libraries read when they are imported, unless it is set already."""


app.add_typer(verdicts.app, name="verdicts", help="Show, count and export what the verdict log holds.")


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    *,
    store: Annotated[Path | None, typer.Option(help="The folder that holds the stations.")] = None,
    station: Annotated[
        list[str] | None, typer.Option(help="A station to serve, repeatable; all in the store where none is named.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="The address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one. [50051]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port. [1]")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="The server's certificate chain, PEM. [none]")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM. [none]")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="Whose certificates clients must show, PEM. [none is asked for]")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Tokens that callers must show, a line each: NAME TOKEN. [none is asked for]")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="The port for Prometheus metrics over HTTP; 0 takes a free one. [none]")
    ] = None,
    metrics_address: Annotated[str | None, typer.Option(help="Where metrics are served. [a loopback address]")] = None,
    verdict_log: Annotated[
        Path | None, typer.Option(help="A folder: every answer is recorded there, as docs/verdict-log.md says. [none]")
    ] = None,
    verdict_log_bytes: Annotated[
        int | None, typer.Option(help="Bytes of it; beyond, the oldest answers are removed. [2 GiB]")
    ] = None,
    max_batch: Annotated[int | None, typer.Option(help="Vectors computed together. [128]")] = None,
    queue_limit: Annotated[int | None, typer.Option(help="Vectors that wait to be computed. [4096]")] = None,
    max_streams: Annotated[int | None, typer.Option(help="Open streams. [4096]")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Other calls at once. [256]")] = None,
    stream_window: Annotated[int | None, typer.Option(help="Unanswered vectors of a stream. [256]")] = None,
    resume_s: Annotated[float | None, typer.Option(help="Seconds to take up a broken stream. [60]")] = None,
    parked_bytes: Annotated[int | None, typer.Option(help="Bytes kept for broken streams. [256 MiB]")] = None,
    max_neighbours: Annotated[int | None, typer.Option(help="Neighbours in one answer. [100]")] = None,
    max_vectors: Annotated[int | None, typer.Option(help="Vectors in one message. [2048]")] = None,
    max_message_bytes: Annotated[int | None, typer.Option(help="Bytes of one message. [16 MiB]")] = None,
    max_metadata_bytes: Annotated[int | None, typer.Option(help="Bytes of a call's metadata. [16384]")] = None,
    drain_timeout_s: Annotated[float | None, typer.Option(help="Seconds to answer what is accepted. [30]")] = None,
    poll_s: Annotated[float | None, typer.Option(help="Seconds between looks for a new generation. [0.25]")] = None,
    keepalive_s: Annotated[float | None, typer.Option(help="Silence before a client is asked for a sign. [20]")] = None,
    ping_timeout_s: Annotated[float | None, typer.Option(help="Seconds a client has to give that sign. [10]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with any of these settings.", envvar="MIWAKE_CONFIG")
    ] = None,
) -> None:
    """Serve the stations of a store until SIGTERM or SIGINT; then answer what is accepted, and end.

    Every flag is also an environment variable, MIWAKE_PORT for --port, and a key of the TOML file. Flags come first,
    then the environment, then the file. Prints "listening on HOST:PORT" once it serves; logs JSON lines to stderr.
    """
    flags = dict(locals())
    del flags["config"], flags["context"]
    if context.invoked_subcommand is not None:
        return
    flags["stations"] = flags.pop("station") or None
    if "MALLOC_ARENA_MAX" not in os.environ:
        _share_heaps(int(ENVIRONMENT["MALLOC_ARENA_MAX"]))
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _serve(flags, config)


def _share_heaps(at_most: int) -> None:
    """Let this process have so many heaps; its C library has read the environment already, that of workers will."""
    with suppress(OSError, AttributeError, TypeError):  # a C library that knows no such option has no such heaps
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, at_most)


def _serve(flags: dict[str, Any], config: Path | None) -> None:
    # Heavy, and not needed for --help; the libraries read the thread settings when they are imported.
    from miwake.indexer.errors import IndexerError  # noqa: PLC0415
    from miwake.server.errors import ServerError, SettingsError  # noqa: PLC0415
    from miwake.server.settings import resolve  # noqa: PLC0415

    try:
        settings = resolve(flags, config)
    except SettingsError as error:
        _fail(error, status=2)
    configure_logging()
    try:
        if settings.workers > 1:
            _supervise(settings)
        else:
            _serve_alone(settings)
    except (ServerError, IndexerError) as error:
        _fail(error, status=1)


def _serve_alone(settings: Settings) -> None:
    from miwake.server.lifecycle import serve as serve_until  # noqa: PLC0415
    from miwake.server.opener import StoreOpener  # noqa: PLC0415
    from miwake.server.workers.part import Part  # noqa: PLC0415

    stop = threading.Event()
    _call_on_signals(stop.set)
    serve_until(settings, StoreOpener(), stop=stop, announce=_announce, part=Part())


def _supervise(settings: Settings) -> None:
    from miwake.server.workers.supervisor import Supervisor  # noqa: PLC0415

    supervisor = Supervisor(settings)
    _call_on_signals(supervisor.stop)
    supervisor.run(_announce)


def _announce(address: str) -> None:
    print(f"listening on {address}", flush=True)


def _fail(error: Exception, *, status: int) -> NoReturn:
    print(f"miwake-serve: {error}", file=sys.stderr)
    raise typer.Exit(status) from error


def _call_on_signals(stop: Callable[[], object]) -> None:
    """Let the first SIGTERM or SIGINT end the serving, and the second the process."""

    def handle(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def configure_logging(worker: int | None = None) -> None:
    """Send every event, the libraries' own too, to stderr as one JSON object a line, with the worker's number."""
    import structlog  # noqa: PLC0415

    def name_worker(_: object, __: str, event: Any) -> Any:
        return event if worker is None else {**event, "worker": worker}

    shared: list[Any] = [
        name_worker,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO)
