"""``miwake-client``: streams the vectors of a file to a server, and asks for the neighbours of one."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miwake.client.channel import DEFAULT_TIMEOUT_S
from miwake.client.client import Client
from miwake.client.errors import MiwakeError
from miwake.client.files import read_samples
from miwake.client.filters import parse
from miwake.client.options import SearchOptions, Space
from miwake.client.report import answer_values, neighbours_values, to_json
from miwake.client.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.live import Live

    from miwake.client.answers import Answer, NeighboursAnswer
    from miwake.client.files import Samples

DEFAULT_TARGET = "127.0.0.1:50051"

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: whoever read our output has gone."""

File = Annotated[Path, typer.Argument(help="Vectors: .parquet, .csv, .npz or .npy.")]
Target = Annotated[str, typer.Option(help="Address of the server, host:port.")]
Station = Annotated[str, typer.Option(help="The station to ask; not needed where the server has one.")]
Split = Annotated[str | None, typer.Option(help="Take only the rows of this split, such as test.")]
NeighbourCount = Annotated[
    int | None, typer.Option("--neighbours", min=1, help="Neighbours to return for each vector.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="Only references for which it holds: label=11,13, failure_mode!=short, part, group or source likewise, "
        "time>=2026-01-31 or time<2026-01-31T12:00Z. Of several, all must hold.",
    ),
]
Power = Annotated[int | None, typer.Option(min=1, max=8, help="Power of that norm; by default as calibrated.")]
SpaceChoice = Annotated[Space | None, typer.Option(help="Where SOART3 compares; by default as calibrated.")]
Candidates = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="References that are re-ranked; by default as calibrated.")
]
Timeout = Annotated[float, typer.Option(min=0.001, help="Longest wait for an answer, in seconds.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON also to a terminal.")]

app = typer.Typer(
    name="miwake-client",
    help="Ask a miwake server about inspection vectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def stream(
    file: File,
    *,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    split: Split = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first so many.")] = None,
    neighbours: NeighbourCount = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    json: Json = False,
) -> None:
    """Stream vectors and show the answers as they come.

    A live table on a terminal; elsewhere one JSON object a line for each answer.
    """
    with _clean_exit():
        samples = read_samples(file, split=split, limit=limit)
        with Client(target, station=station, timeout_s=timeout) as client:
            _show_stream(
                client.inspect(samples.inspections(), n_neighbours=neighbours), samples, as_json=_as_json(json)
            )


@app.command()
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
    json: Json = False,
) -> None:
    """Show the neighbours of one vector: a table on a terminal, elsewhere a JSON object."""
    with _usage("--where"):
        wanted = parse(where or ())
    with _usage("--exhaustive"):
        options = SearchOptions(
            p_eta=p_eta, p_gamma=p_gamma, space=space, n_candidates=candidates, exhaustive=exhaustive
        )
    with _clean_exit():
        samples = read_samples(file, split=split).only(row)
        with Client(target, station=station, timeout_s=timeout) as client:
            [answer] = client.search_neighbours(
                list(samples.inspections()), n_neighbours=neighbours, where=wanted, options=options
            )
        _show_neighbours(answer, as_json=_as_json(json))


def _as_json(json: bool) -> bool:
    return json or not sys.stdout.isatty()


def _show_stream(answers: Iterable[Answer], samples: Samples, *, as_json: bool) -> None:
    tally = Tally()
    try:
        with nullcontext() if as_json else _live_view(tally):
            for answer in answers:
                expected_label = samples.labels[answer.sequence]
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


@contextmanager
def _usage(option: str) -> Iterator[None]:
    """Tell values that an option cannot have as wrong usage."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@contextmanager
def _clean_exit() -> Iterator[None]:
    try:
        yield
    except MiwakeError as error:
        print(f"miwake-client: {' '.join(str(error).split())}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_BROKEN_PIPE) from None
