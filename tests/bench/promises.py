"""What thresholds promise, and what held-out parts then see of it: ``python -m bench.promises DATA --embedder FOLDER``.

The station is built from the training rows as `miwake-index build` does; each promise is asked of its calibration parts
and measured on the parts that DATA holds out, by decision: a part fails if any of its rows is decided wrongly.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from miwake.indexer.answers import Decision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.records import Records
    from miwake.indexer.verdict.thresholds import Bound, Chosen

SHARES = (0.02, 0.03, 0.05, 0.1, 0.2)


class Realised(NamedTuple):
    """Of one side of the held-out rows: parts and rows, and those that failed; rows in REVIEW and UNKNOWN."""

    n_parts: int
    n_parts_failed: int
    n_rows: int
    n_rows_failed: int
    n_unsure: int


def realised(held_out: Records, decisions: NDArray[np.int8], *, is_pass: bool) -> Realised:
    """Return what became of the held-out rows of one side."""
    rows = np.isin(held_out.labels, held_out.pass_labels) == is_pass
    failed = rows & (decisions == (Decision.REJECT if is_pass else Decision.PASS))
    parts = np.array([part or f"row {row}" for row, part in enumerate(held_out.parts)])
    unsure = rows & np.isin(decisions, (Decision.REVIEW, Decision.UNKNOWN))
    return Realised(
        len(np.unique(parts[rows])),
        len(np.unique(parts[failed])),
        int(rows.sum()),
        int(failed.sum()),
        int(unsure.sum()),
    )


def main(
    data: Annotated[str, typer.Argument(help="Inspection data with its held-out rows.")],
    embedder: Annotated[Path, typer.Option(help="Trained on the training rows of DATA.")],
    only: Annotated[str, typer.Option(help="Group whose held-out rows count; by default all.")] = "",
) -> None:
    """Print a row for each promise."""
    from miwake.indexer.build import build  # noqa: PLC0415
    from miwake.indexer.errors import PromiseError  # noqa: PLC0415
    from miwake.indexer.opening import open_index  # noqa: PLC0415
    from miwake.indexer.sources.reader import read_records  # noqa: PLC0415
    from miwake.indexer.splits import held_out_split  # noqa: PLC0415
    from miwake.indexer.thresholding import change  # noqa: PLC0415
    from miwake.indexer.verdict.request import ThresholdRequest  # noqa: PLC0415

    training, held_out = held_out_split(read_records(data))
    if only:
        held_out = held_out.take(np.flatnonzero(np.array(held_out.groups) == only))
    table = Table("promise", "bound", "calibration parts", "held-out parts", "held-out rows", "REVIEW, UNKNOWN")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "bench", training, embedder)
        station = Path(folder) / "bench"
        index = open_index(station)
        for is_pass in (False, True):
            for share in SHARES:
                request = ThresholdRequest(max_overkill=share) if is_pass else ThresholdRequest(max_escape=share)
                name = f"{'overkill' if is_pass else 'escapes'} {share:.0%}"
                try:
                    chosen = change(station, request, actor="bench").chosen
                except PromiseError as error:
                    table.add_row(name, *["cannot be shown", str(error)[:60], "", "", ""][:5])
                    continue
                table.add_row(name, *_cells(chosen, index, held_out, is_pass=is_pass))
    Console(width=140).print(table)


def _cells(chosen: Chosen, index: InspectionIndex, held_out: Records, *, is_pass: bool) -> tuple[str, ...]:
    bound = _bound(chosen, is_pass=is_pass)
    decisions = index.with_thresholds(chosen.thresholds).classify(held_out.vectors).decisions
    found = realised(held_out, decisions, is_pass=is_pass)
    return (
        f"{bound.bound:.2%}",
        _share(bound.n_failed, bound.n_parts),
        _share(found.n_parts_failed, found.n_parts),
        _share(found.n_rows_failed, found.n_rows),
        _share(found.n_unsure, found.n_rows),
    )


def _bound(chosen: Chosen, *, is_pass: bool) -> Bound:
    return next(one for one in chosen.bounds if one.label is None and one.is_pass == is_pass)


def _share(n_counted: int, n_all: int) -> str:
    return f"{n_counted} of {n_all} = {n_counted / max(n_all, 1):.2%}"


if __name__ == "__main__":
    typer.run(main)
