"""Answers as Rich tables, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from miwake.client.answers import Decision

if TYPE_CHECKING:
    from miwake.client.answers import Answer, Neighbours
    from miwake.client.tally import Tally

COLOURS = {Decision.PASS: "green", Decision.REJECT: "red", Decision.REVIEW: "yellow", Decision.UNKNOWN: "magenta"}


def stream_view(tally: Tally) -> Group:
    """Return the live view of a stream: the counts, and the last answers."""
    table = Table(title=Text(tally.summary()), title_justify="left")
    for name in ("id", "decision", "because", "label", "failure mode", "expected"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for name in ("probability", "novelty", "nearest distance"):
        table.add_column(name, justify="right")
    table.add_column("nearest reference", overflow="ellipsis", no_wrap=True)
    for answer, expected_label in list(tally.recent):
        table.add_row(*_cells(answer, expected_label))
    return Group(table)


def _cells(answer: Answer, expected_label: int | None) -> list[Text]:
    expected = "" if expected_label is None else str(expected_label)
    verdict = answer.verdict
    if verdict is None:
        reason, message = ("", "") if answer.error is None else (answer.error.reason.name, answer.error.message)
        cells = [answer.id, reason, "", "", message, expected, "", "", "", ""]
        return [Text(cell, style="bold red") for cell in cells]
    is_wrong = expected_label is not None and expected_label != verdict.label
    neighbours = verdict.neighbours
    return [
        Text(answer.id),
        Text(verdict.decision.name, style=COLOURS[verdict.decision]),
        Text(", ".join(reason.name.lower().replace("_", " ") for reason in verdict.reasons)),
        Text(str(verdict.label), style="bold red" if is_wrong else ""),
        Text(verdict.failure_mode),
        Text(expected),
        Text(f"{verdict.probability:.3f}"),
        Text(f"{verdict.novelty:.3f}"),
        Text(f"{neighbours.distances[0]:.3f}" if len(neighbours) else ""),
        Text(neighbours.ids[0] if len(neighbours) else ""),
    ]


def neighbours_table(title: str, neighbours: Neighbours) -> Table:
    """Return the neighbours of one vector, nearest match first."""
    table = Table(title=Text(title), title_justify="left")
    for name in ("reference", "label", "failure mode"):
        table.add_column(name, overflow="fold")
    for name in ("distance", "beta", "eta", "gamma", "match distance"):
        table.add_column(name, justify="right")
    measures = (neighbours.distances, neighbours.betas, neighbours.etas, neighbours.gammas, neighbours.match_distances)
    for place, (reference, failure_mode) in enumerate(zip(neighbours.ids, neighbours.failure_modes, strict=True)):
        texts = [reference, str(neighbours.labels[place]), failure_mode]
        texts += [f"{measure[place]:.4f}" for measure in measures]
        table.add_row(*(Text(text) for text in texts))
    return table
