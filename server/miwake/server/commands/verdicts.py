"""``miwake-serve verdicts``: what the verdict log holds, also while it is written."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.server.verdict_log.reading import VerdictLog, Wanted

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

SHOWN = ("sequence", "id", "part_id", "label", "failure_mode", "decision", "reasons", "probability", "reference_1")
"""What ``list`` shows of an answer, after its time and station."""


class Decided(StrEnum):
    """What can be asked for by its decision."""

    PASS = "PASS"  # noqa: S105
    REJECT = "REJECT"
    REVIEW = "REVIEW"
    UNKNOWN = "UNKNOWN"
    ERROR = "ERROR"


class Per(StrEnum):
    """For what time answers are counted together."""

    ALL = "all"
    HOUR = "hour"
    DAY = "day"


Folder = Annotated[Path, typer.Argument(help="The folder that the server writes to: its --verdict-log.")]
Station = Annotated[str, typer.Option(help="Only this station's.")]
Stream = Annotated[str, typer.Option(help="Only those of the stream of this name.")]
Part = Annotated[str, typer.Option(help="Only those of the part of this id.")]
Decision = Annotated[Decided | None, typer.Option(help="Only these; ERROR: vectors that could not be judged.")]
Label = Annotated[int | None, typer.Option(help="Only those labelled so.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="Only those from then on, such as 2026-05-04T13:00; UTC.")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Only those before then.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@app.command("list")
def list_(
    folder: Folder,
    *,
    station: Station = "",
    stream: Stream = "",
    part: Part = "",
    decision: Decision = None,
    label: Label = None,
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=1, help="How many: the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the newest answers, the newest last."""
    with _reading(folder) as log:
        from miwake.server.verdict_log.exporting import as_json as to_json  # noqa: PLC0415
        from miwake.server.verdict_log.layout import COLUMNS  # noqa: PLC0415

        rows = log.newest(limit, _wanted(station, stream, part, decision, label, since, until))
        if as_json:
            for row in rows:
                print(to_json(row))
            return
        _print_table(
            ("time (UTC)", "station", *SHOWN),
            [_shown(dict(zip(COLUMNS, row, strict=True))) for row in rows],
        )


@app.command()
def export(
    folder: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as its suffix says: .parquet, .csv or .jsonl.")],
    *,
    station: Station = "",
    stream: Stream = "",
    part: Part = "",
    decision: Decision = None,
    label: Label = None,
    since: Since = "",
    until: Until = "",
) -> None:
    """Write answers to a file, the oldest first."""
    with _reading(folder) as log:
        from miwake.server.verdict_log.exporting import export as write  # noqa: PLC0415

        n_rows = write(log.rows(_wanted(station, stream, part, decision, label, since, until)), file)
        print(f"{file}: {n_rows} answers")


@app.command()
def summary(
    folder: Folder,
    *,
    per: Annotated[Per, typer.Option(help="Count each of these by itself.")] = Per.ALL,
    station: Station = "",
    stream: Stream = "",
    part: Part = "",
    decision: Decision = None,
    label: Label = None,
    since: Since = "",
    until: Until = "",
    as_json: AsJson = False,
) -> None:
    """Count answers by station, decision and label."""
    with _reading(folder) as log:
        counts = log.count(_wanted(station, stream, part, decision, label, since, until), per=per.value)
        ordered = sorted(counts.items(), key=lambda one: (*one[0][:3], -1 if one[0].label is None else one[0].label))
        if as_json:
            for group, n_answers in ordered:
                print(json.dumps({**group._asdict(), "n_answers": n_answers}))
            return
        _print_table(
            (per.value, "station", "decision", "label", "answers"),
            [(group.period, group.station, group.decision, group.label, n) for group, n in ordered],
        )


@contextmanager
def _reading(folder: Path) -> Iterator[VerdictLog]:
    """Open a log, tell our errors as one line, and then what had to be left out."""
    from miwake.server.errors import ServerError  # noqa: PLC0415
    from miwake.server.verdict_log.reading import VerdictLog  # noqa: PLC0415

    try:
        log = VerdictLog(folder)
        yield log
    except ServerError as error:
        print(f"miwake-serve: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    for problem in log.damaged:
        print(f"miwake-serve: left out what cannot be read: {problem}", file=sys.stderr)
    if log.damaged:
        raise typer.Exit(1)


def _wanted(
    station: str, stream: str, part: str, decision: Decided | None, label: int | None, since: str, until: str
) -> Wanted:
    from miwake.server.verdict_log.reading import Wanted  # noqa: PLC0415

    return Wanted(
        station=station,
        stream_id=stream,
        part_id=part,
        decision="" if decision is None else decision.value,
        label=label,
        since=_time(since, "--since"),
        until=_time(until, "--until"),
    )


def _time(text: str, option: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r}, expected a time such as 2026-05-04T13:00"
        raise typer.BadParameter(message, param_hint=option) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _shown(answer: dict[str, Any]) -> tuple[object, ...]:
    time = datetime.fromtimestamp(answer["answered_us"] / 1e6, UTC)
    if answer["decision"] is None:
        answer = {**answer, "decision": "ERROR", "reasons": answer["error"]}
    if answer["probability"] is not None:
        answer["probability"] = f"{answer['probability']:.3f}"
    return f"{time:%Y-%m-%d %H:%M:%S}", answer["station"], *(answer[name] for name in SHOWN)


def _print_table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print lines of aligned columns, as wide as they are: they may be cut and searched by other tools."""
    texts = [header, *(tuple("-" if value in (None, "") else str(value) for value in row) for row in rows)]
    widths = [max(len(text) for text in column) for column in zip(*texts, strict=True)]
    for line in texts:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
