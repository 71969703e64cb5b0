"""Asking about vectors: ``stream`` and ``query``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from itertools import chain, count
from typing import TYPE_CHECKING, Annotated

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
)
from miwake.client.commands.options import Candidates, File, Json, NeighbourCount, Power, SpaceChoice, Split, Where
from miwake.client.commands.working import clean_exit, usage, wants_json
from miwake.client.files import read_samples
from miwake.client.filters import parse
from miwake.client.options import SearchOptions
from miwake.client.pacing import arrivals, paced
from miwake.client.report import answer_values, neighbours_values, to_json
from miwake.client.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.live import Live

    from miwake.client.answers import Answer, NeighboursAnswer
    from miwake.client.files import Samples


def stream(
    file: File,
    *,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    split: Split = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first so many.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Vectors a second; by default as fast as it goes.")
    ] = None,
    poisson: Annotated[bool, typer.Option("--poisson", help="With --rate: at random times, as parts arrive.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again after the last, until interrupted.")] = False,
    neighbours: NeighbourCount = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Stream vectors and show the answers as they come.

    A live table on a terminal; elsewhere one JSON object a line for each answer. Where the connection breaks or the
    server is started again, the stream goes on where it was, and stderr says so.
    """
    if poisson and rate is None:
        message = "needs --rate"
        raise typer.BadParameter(message, param_hint="--poisson")
    with clean_exit():
        samples = read_samples(file, split=split, limit=limit)
        inspections = chain.from_iterable(samples.inspections() for _ in (count() if loop else range(1)))
        items = inspections if rate is None else paced(inspections, arrivals(rate, poisson=poisson))
        with connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client:
            _show_stream(client.inspect(items, n_neighbours=neighbours), samples, as_json=wants_json(json))


def query(
    file: File,
    *,
    row: Annotated[int, typer.Option(min=0, help="Which of the chosen rows, from 0.")] = 0,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    split: Split = None,
    neighbours: NeighbourCount = None,
    where: Where = None,
    p_eta: Power = None,
    p_gamma: Power = None,
    space: SpaceChoice = None,
    candidates: Candidates = None,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Re-rank every reference.")] = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Show the neighbours of one vector: a table on a terminal, elsewhere a JSON object."""
    with usage("--where"):
        wanted = parse(where or ())
    with usage("--exhaustive"):
        options = SearchOptions(
            p_eta=p_eta, p_gamma=p_gamma, space=space, n_candidates=candidates, exhaustive=exhaustive
        )
    with clean_exit():
        samples = read_samples(file, split=split).only(row)
        with connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client:
            [answer] = client.search_neighbours(
                list(samples.inspections()), n_neighbours=neighbours, where=wanted, options=options
            )
        _show_neighbours(answer, as_json=wants_json(json))


def _show_stream(answers: Iterable[Answer], samples: Samples, *, as_json: bool) -> None:
    tally = Tally()
    try:
        with nullcontext() if as_json else _live_view(tally):
            for answer in answers:
                expected_label = samples.labels[answer.sequence % len(samples)]
                tally.add(answer, expected_label)
                if as_json:
                    print(to_json(answer_values(answer, expected_label=expected_label)), flush=True)
    except KeyboardInterrupt:
        print(f"interrupted: {tally.summary()}", file=sys.stderr)
        raise
    print(tally.summary(), file=sys.stderr)


def _live_view(tally: Tally) -> Live:
    from rich.live import Live  # noqa: PLC0415 - only a terminal needs it

    from miwake.client.display import stream_view  # noqa: PLC0415

    return Live(get_renderable=lambda: stream_view(tally), refresh_per_second=8)


def _show_neighbours(answer: NeighboursAnswer, *, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415

    from miwake.client.display import neighbours_table  # noqa: PLC0415

    if as_json:
        print(to_json(neighbours_values(answer)), flush=True)
    elif answer.neighbours is not None and not len(answer.neighbours):
        print(f"{answer.id}: no reference is one that --where asks for")
    elif answer.neighbours is not None:
        Console().print(neighbours_table(f"nearest to {answer.id}", answer.neighbours))
    elif answer.error is not None:
        print(f"{answer.id}: {answer.error.message}")
