"""Looking at a server from outside: ``watch`` and ``bench``."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Annotated

import typer

from miwake.client.channel import DEFAULT_TIMEOUT_S
from miwake.client.commands.connecting import (
    DEFAULT_TARGET,
    Station,
    Target,
    Timeout,
    TlsCa,
    TokenFile,
    connect,
    connection,
)
from miwake.client.commands.options import File, Json, Split
from miwake.client.commands.working import clean_exit, wants_json
from miwake.client.files import read_samples
from miwake.client.load import Load, load_text, run_load
from miwake.client.report import to_json
from miwake.client.watching import Watcher


def watch(
    *,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks at the stations.")] = 1.0,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Show a server's health and what its stations serve, and a line for every change, until interrupted.

    A server that cannot be reached is a change too, and waited for.
    """
    as_json = wants_json(json)
    with clean_exit():
        watcher = Watcher(
            connection(target, tls_ca=tls_ca, token_file=token_file),
            station=station,
            interval_s=interval,
            timeout_s=timeout,
        )
        with closing(watcher.changes()) as changes:
            for change in changes:
                values = {"at": change.at.isoformat(), "station": change.station or None, **change.now}
                print(to_json(values) if as_json else change.text(), flush=True)


def bench(
    file: File,
    *,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Vectors a second over all streams; by default as fast as it goes.")
    ] = None,
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds of load.")] = 10.0,
    even: Annotated[bool, typer.Option("--even", help="Send in even steps, not at random (Poisson).")] = False,
    streams: Annotated[int, typer.Option(min=1, help="Streams side by side.")] = 1,
    within: Annotated[
        float | None, typer.Option(min=0.001, help="Let the server shed what has waited so many seconds.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random times.")] = 0,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    split: Split = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Put a load on a running server, and show how many vectors it answers and how fast.

    With --rate the load is open: vectors come whether or not the last was answered, and the latency of each counts from
    when it was to be sent, so that a stall shows in every vector that it held up.
    """
    with clean_exit():
        samples = read_samples(file, split=split)
        load = Load(
            rate=rate,
            duration_s=duration,
            poisson=not even,
            n_streams=streams,
            answer_within_s=within,
            seed=seed,
        )
        with connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client:
            report = run_load(client, list(samples.inspections()), load)
        print(to_json(report) if wants_json(json) else load_text(report), flush=True)
        if report["errors"]:
            print(f"{report['errors']} vectors could not be judged", file=sys.stderr)
