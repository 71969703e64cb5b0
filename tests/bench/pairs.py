"""What thresholds for pairs promise, and what held-out parts see: ``python -m bench.pairs DATA --embedder FOLDER``.

The station is built from the training rows as `miwake-index build` does. Held-out queries are compared with references
of training rows, as in calibration, and with other held-out parts, neither of which the embedder has seen.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.records import Records
    from miwake.indexer.verdict.pairs import Pairs, PairThreshold

MAX_QUERIES = 300
AT_ONCE = 4096


def main(
    data: Annotated[str, typer.Argument(help="Inspection data with its held-out rows.")],
    embedder: Annotated[Path, typer.Option(help="Trained on the training rows of DATA.")],
) -> None:
    """Print a row for each threshold."""
    from miwake.indexer.build import build  # noqa: PLC0415
    from miwake.indexer.opening import open_index  # noqa: PLC0415
    from miwake.indexer.sources.reader import read_records  # noqa: PLC0415
    from miwake.indexer.splits import held_out_split  # noqa: PLC0415

    training, held_out = held_out_split(read_records(data))
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "bench", training, embedder)
        index = open_index(Path(folder) / "bench")
        found = index.pairs
        sides = {"training rows": _compare(index, held_out, training), "held out": _compare(index, held_out, held_out)}
    rates = ", ".join(f"{name} {rate:.2%}" for name, rate in found.equal_error_rates.items())
    console = Console(width=160)
    console.print(f"{found.distance} decides (equal error rates: {rates}); {found.n_parts} calibration parts")
    header = [f"{name}: false {what}" for name in sides for what in ("accepts", "rejects")]
    table = Table("promise", "calibration: false accepts", "false rejects", *header)
    for threshold in (found.balanced, *found.promised):
        promise = "none" if threshold.max_false_accept_rate is None else f"{threshold.max_false_accept_rate:.1%}"
        measured = [f"{rate:.2%}" for pairs in sides.values() for rate in _realised(pairs, found.distance, threshold)]
        own = (f"{threshold.false_accept_rate:.2%}", f"{threshold.false_reject_rate:.2%}")
        table.add_row(promise, *own, *measured)
    console.print(table)
    for name, pairs in sides.items():
        n_genuine = int(pairs.is_genuine.sum())
        n_impostor = len(pairs.parts) - n_genuine
        console.print(
            f"{name}: {n_impostor} pairs of two classes, {n_genuine} of one, {len(np.unique(pairs.parts))} parts"
        )


def _compare(index: InspectionIndex, queries: Records, references: Records) -> Pairs:
    """Return pairs of queries with references of other parts, drawn as calibration draws them."""
    from miwake.indexer.verdict.pairs import N_PAIRS, Pairs, draw_pairs  # noqa: PLC0415

    rng = np.random.default_rng(0)
    if len(queries) > MAX_QUERIES:
        queries = queries.take(np.sort(rng.choice(len(queries), MAX_QUERIES, replace=False)))
    drawn = draw_pairs(queries.labels, references.labels, rng)
    names = [
        np.array([part or f"row {id_}" for part, id_ in zip(one.parts, one.ids, strict=True)])
        for one in (queries, references)
    ]
    is_there = (drawn >= 0) & (names[1][np.maximum(drawn, 0)] != names[0][:, None])
    places, columns = np.nonzero(is_there)
    deciding = [
        index.verify(queries.vectors[places[some]], references.vectors[drawn[places[some], columns[some]]]).deciding
        for some in (slice(start, start + AT_ONCE) for start in range(0, len(places), AT_ONCE))
    ]
    _, part_numbers = np.unique(names[0], return_inverse=True)
    return Pairs(columns < N_PAIRS, part_numbers[places], {index.pairs.distance: np.concatenate(deciding)})


def _realised(pairs: Pairs, distance: str, threshold: PairThreshold) -> tuple[float, float]:
    """Return the shares of false accepts and false rejects, each part counting alike."""
    accepted = dict(pairs.distances)[distance] <= threshold.at_most  # type: ignore[index]
    return (
        _mean_over_parts(accepted, pairs.parts, ~pairs.is_genuine),
        _mean_over_parts(~accepted, pairs.parts, pairs.is_genuine),
    )


def _mean_over_parts(wrong: NDArray[np.bool_], parts: NDArray[np.intp], chosen: NDArray[np.bool_]) -> float:
    sums, sizes = (np.bincount(parts[chosen], weights) for weights in (wrong[chosen].astype(float), None))
    return float((sums[sizes > 0] / sizes[sizes > 0]).mean())


if __name__ == "__main__":
    typer.run(main)
