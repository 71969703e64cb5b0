"""From cells to one table: every figure of every arm, and by how much it differs from the first arm's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.records import is_pass
from miwake.training.ablation.measuring import WAYS
from miwake.training.ablation.paired import N_DRAWS, Counts, Interval, counts_of, difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.training.ablation.arms import Arm
    from miwake.training.ablation.cells import Cell
    from miwake.training.ablation.running import Place

METRICS = ("accuracy", "balanced accuracy", "escape", "overkill")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of one arm on one data set.

    Attributes
    ----------
    data, arm, way, metric : text
    mean : float
        Over the seeds.
    sd : float or None
        Between the seeds; None of one seed.
    n_rows : int
        Held-out rows that it is about.
    difference : Interval or None
        To the first arm; None for that arm itself.
    """

    data: str
    arm: str
    way: str
    metric: str
    mean: float
    sd: float | None
    n_rows: int
    difference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One data set of an ablation: its held-out rows and parts, and its name in tables."""

    name: str
    source: str
    fingerprint: str
    n_rows: int
    n_parts: int
    has_passes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What the runs of one arm on one data set cost, means over the seeds, and what their verdicts went by."""

    data: str
    arm: str
    n_steps: int
    best_step: float
    fit_cpu_s: float
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """Everything an ablation found.

    Attributes
    ----------
    baseline : text
        The first arm.
    n_seeds, n_draws : int
        Seeds 0 … n_seeds-1; resamplings behind each interval.
    arms : by name, mapping
        The preset's name and every setting of each.
    """

    baseline: str
    n_seeds: int
    n_draws: int
    arms: dict[str, dict[str, Any]]
    data: tuple[DataSet, ...]
    runs: tuple[RunSummary, ...]
    figures: tuple[Figure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def compare(cells: Mapping[Place, Cell], *, n_draws: int = N_DRAWS) -> Ablation:
    """Return the table of a whole grid of cells; the arm of the first cell is the baseline."""
    places = list(cells)
    arms = tuple(dict.fromkeys(place.arm.name for place in places))
    sources = tuple(dict.fromkeys(place.source for place in places))
    names = _short_names(sources)
    data, runs, figures = [], [], []
    for source in sources:
        by_arm = {arm: [cells[one] for one in places if (one.source, one.arm.name) == (source, arm)] for arm in arms}
        data.append(_data_set(names[source], by_arm[arms[0]][0], source))
        runs += [_summary(names[source], arm, found) for arm, found in by_arm.items()]
        figures += _figures(names[source], by_arm, n_draws)
    return Ablation(
        baseline=arms[0],
        n_seeds=len({place.seed for place in places}),
        n_draws=n_draws,
        arms={place.arm.name: _told(place.arm) for place in places},
        data=tuple(data),
        runs=tuple(runs),
        figures=tuple(figures),
    )


def _told(arm: Arm) -> dict[str, Any]:
    return {"preset": arm.preset.name, "settings": asdict(arm.preset.settings)}


def _short_names(sources: Sequence[str]) -> dict[str, str]:
    """Return the file names without their endings, or the sources themselves where those would be the same."""
    short = [source.rstrip("/").rpartition("/")[2].rpartition(".")[0] or source for source in sources]
    return dict(zip(sources, short if len(set(short)) == len(short) else sources, strict=True))


def _data_set(name: str, cell: Cell, source: str) -> DataSet:
    return DataSet(
        name=name,
        source=source,
        fingerprint=cell.data_fingerprint,
        n_rows=len(cell.truth),
        n_parts=len(set(cell.parts)),
        has_passes=bool(cell.pass_labels),
    )


def _summary(name: str, arm: str, found: Sequence[Cell]) -> RunSummary:
    return RunSummary(
        data=name,
        arm=arm,
        n_steps=found[0].n_steps,
        best_step=mean(cell.best_step for cell in found),
        fit_cpu_s=mean(cell.fit_cpu_s for cell in found),
        methods=tuple(cell.method for cell in found),
    )


def _figures(name: str, by_arm: Mapping[str, Sequence[Cell]], n_draws: int) -> list[Figure]:
    baseline = next(iter(by_arm))
    figures = []
    for way in WAYS:
        for metric in METRICS:
            counts = {arm: _counts(found, way, metric) for arm, found in by_arm.items()}
            first = counts[baseline]
            for arm, runs in counts.items():
                if runs is None or first is None:
                    continue
                values = [one.value for one in runs]
                figures.append(
                    Figure(
                        data=name,
                        arm=arm,
                        way=way,
                        metric=metric,
                        mean=mean(values),
                        sd=stdev(values) if len(values) > 1 else None,
                        n_rows=int(runs[0].rows.sum()),
                        difference=None if arm == baseline else difference(first, runs, n_draws=n_draws),
                    )
                )
    return figures


def _counts(found: Sequence[Cell], way: str, metric: str) -> list[Counts] | None:
    """Return what a figure of each run is made of; None where some run has no such answer, or no row matters."""
    counts = []
    for cell in found:
        if way not in cell.answers:
            return None
        one = metric_counts(metric, cell, np.array(cell.answers[way], dtype=np.int32))
        if one is None:
            return None
        counts.append(one)
    return counts


def metric_counts(metric: str, cell: Cell, answers: NDArray[np.int32]) -> Counts | None:
    """Return what a figure of ``METRICS`` is made of; None where no held-out row is of the kind that it is about."""
    truth = np.array(cell.truth, dtype=np.int32)
    parts = np.array(cell.parts, dtype=np.intp)
    passes = is_pass(truth, cell.pass_labels)
    if metric == "accuracy":
        strata, counted = np.zeros(len(truth), dtype=np.intp), answers == truth
    elif metric == "balanced accuracy":
        strata, counted = np.unique(truth, return_inverse=True)[1], answers == truth
    elif not cell.pass_labels:
        return None
    else:
        is_about = ~passes if metric == "escape" else passes
        strata, counted = np.where(is_about, 0, -1), is_pass(answers, cell.pass_labels) != passes
    return counts_of(counted, strata, parts, int(parts.max()) + 1)
