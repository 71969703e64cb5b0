"""``python -m bench.health_choices DATA``: the figures behind docs/adr/0009-input-health.md, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from bench.health import alarms, high_pass_energy
from miwake.indexer.answers import HealthStatistic
from miwake.indexer.health.learning import learn_health
from miwake.indexer.health.limits import HealthGauge
from miwake.indexer.records import is_pass
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.splits import divide_for_calibration, held_out_split
from support.disturbances import disturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from miwake.indexer.records import Records

SHARE = 0.0025
"""Of the fit rows below the limit that the definitions of focus are compared at."""

BLURS = ("blur, sigma 0.7 cells", "blur, sigma 1", "motion over 3 cells")
N_FEW, N_DRAWS = 100, 20

app = typer.Typer(add_completion=False)


@app.command()
def show(data: Annotated[str, typer.Argument(help="What to read, as `miwake-train fit` takes it.")]) -> None:
    """Print tables of definitions of focus, of rows that limits are learnt from, and of few rows."""
    output = Console(highlight=False, soft_wrap=True, markup=False)
    training, test = held_out_split(read_records(data, ReadSettings()))
    fit = training.take(~divide_for_calibration(training.labels, training.parts))
    for lines in (_definition_lines(fit, test), _row_lines(fit, test), _few_lines(fit, test)):
        for line in lines:
            output.print(line)


def _unit_maps(vectors: NDArray[np.float32], records: Records) -> NDArray[np.float64]:
    low, high = records.value_range or (0.0, 1.0)
    return ((vectors.astype(np.float64) - low) / (high - low)).reshape(-1, *records.heat_map_shape)


def _both_axes(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = sum(np.square(np.diff(maps, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    curves = sum(np.square(np.diff(maps, n=2, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    return np.asarray((curves + 3e-3) / (steps + 1e-3))


def _definition_lines(fit: Records, test: Records) -> Iterator[str]:
    gauge = _gauge(fit)

    def smaller_axis(maps: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = fit.value_range or (0.0, 1.0)
        vectors = (maps * (high - low) + low).reshape(len(maps), -1).astype(np.float32)
        return gauge.deviations(vectors)[:, HealthStatistic.FOCUS].astype(np.float64)

    shape = fit.heat_map_shape
    definitions: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
        "mean squared Laplacian": lambda maps: high_pass_energy(maps.reshape(len(maps), -1), shape),
        "… divided by the variance": lambda maps: (
            high_pass_energy(maps.reshape(len(maps), -1), shape) / maps.var(axis=(1, 2))
        ),
        "squared second by squared first differences, both axes together": _both_axes,
        "the same, the smaller of both axes": smaller_axis,
    }
    rejects = test.take(~is_pass(test.labels, test.pass_labels))
    ill = {name: _unit_maps(disturbed(rejects, name), test) for name in BLURS}
    ordinary, held_out = _unit_maps(fit.vectors, fit), _unit_maps(test.vectors, test)
    yield f"| focus | {' | '.join(BLURS)} | held-out rows |"
    yield "|---" * (len(BLURS) + 2) + "|"
    for name, measure in definitions.items():
        limit = np.quantile(measure(ordinary), SHARE)
        seen = [f"{np.mean(measure(maps) < limit):.1%}" for maps in (*ill.values(), held_out)]
        yield f"| {name} | {' | '.join(seen)} |"


def _row_lines(fit: Records, test: Records) -> Iterator[str]:
    passes = is_pass(test.labels, test.pass_labels)
    rejects = test.take(~passes)
    own = is_pass(fit.labels, fit.pass_labels)
    yield f"| limits of | {' | '.join(BLURS)} | passes | rejects |"
    yield "|---" * (len(BLURS) + 3) + "|"
    for name, rows in {"all fit rows": np.ones_like(own), "the passes among them": own}.items():
        if rows.any():
            gauge = _gauge(fit.take(rows))
            seen = [alarms(gauge.deviations(disturbed(rejects, blur))) for blur in BLURS]
            seen += [alarms(gauge.deviations(test.vectors[side])) for side in (passes, ~passes)]
            yield f"| {name} | {' | '.join(f'{share:.1%}' for share in seen)} |"


def _few_lines(fit: Records, test: Records) -> Iterator[str]:
    random = np.random.default_rng(0)
    draws = [fit.take(random.choice(len(fit), N_FEW, replace=False)) for _ in range(N_DRAWS)]
    found = np.array([_gauge(few).deviations(test.vectors) for few in draws])
    extremes = np.array([_beyond_extremes(few, test) for few in draws])
    yield (
        f"learnt from {N_FEW} rows, mean of {N_DRAWS} draws: {np.mean([alarms(one) for one in found]):.2%} of the "
        f"held-out rows beyond a limit, {extremes.mean():.2%} beyond the extremes of those rows"
    )


def _beyond_extremes(few: Records, test: Records) -> float:
    gauge = _gauge(few)
    known, found = gauge.deviations(few.vectors), gauge.deviations(test.vectors)
    beyond = (found < known.min(axis=0) - 1e-6) | (found > known.max(axis=0) + 1e-6)
    return float(beyond.any(axis=1).mean())


def _gauge(fit: Records) -> HealthGauge:
    if fit.value_range is None:
        message = f"{fit.source}: no value range"
        raise ValueError(message)
    health = learn_health(
        fit.vectors,
        fit.labels,
        parts=fit.parts,
        pass_labels=fit.pass_labels,
        shape=fit.heat_map_shape,
        value_range=fit.value_range,
    )
    if health is None:
        message = f"{fit.source}: too few rows to learn what is ordinary"
        raise ValueError(message)
    return HealthGauge(health, fit.heat_map_shape, fit.value_range)


if __name__ == "__main__":
    app()
