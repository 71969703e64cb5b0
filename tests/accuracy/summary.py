"""From the figures of cells to those of a data set: means, spreads, and what they must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FIGURES = ("accuracy", "balanced_accuracy", "escape_rate", "overkill_rate", "ece", "seconds_train")
"""Means over seeds; ``open_set_auroc`` is one over left-out classes."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure of a data set must reach, and what is aimed at; less is better where the aim is less."""

    data: str
    figure: str
    must: float
    aim: float | None = None

    @property
    def is_upper(self) -> bool:
        """Whether the figure must not be more."""
        return self.figure in {"escape_rate", "overkill_rate", "ece", "seconds_train"}

    def is_met(self, value: float) -> bool:
        """Return whether a value reaches what it must."""
        return value <= self.must if self.is_upper else value >= self.must


BOUNDS = (
    Bound("deeppcb", "accuracy", 0.945, 0.970),
    Bound("deeppcb", "escape_rate", 0.02, 0.008),
    Bound("deeppcb", "overkill_rate", 0.065, 0.035),
    Bound("deeppcb", "ece", 0.03, 0.01),
    Bound("deeppcb", "open_set_auroc", 0.88, 0.95),
    Bound("deeppcb", "seconds_train", 180),
    Bound("magnetic_tile", "accuracy", 0.78, 0.85),
    Bound("magnetic_tile", "balanced_accuracy", 0.56, 0.70),
    Bound("magnetic_tile", "open_set_auroc", 0.78, 0.87),
    Bound("magnetic_tile", "seconds_train", 180),
    Bound("fashion_mnist", "accuracy", 0.89, 0.92),
    Bound("fashion_mnist", "seconds_train", 180),
)
"""Of the default preset on the data sets that it is judged on."""


def summarise(answers: Sequence[Mapping[str, Any]], open_set: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean of each figure, and its standard deviation as ``<figure>_sd``; None where it is not defined.

    Parameters
    ----------
    answers : figures of the cells of each seed
    open_set : figures of the cells of each left-out class
    """
    found: dict[str, float | None] = {}
    for name in FIGURES:
        found |= _mean_and_sd(name, (one[name] for one in answers))
    found |= _mean_and_sd("open_set_auroc", (one["open_set_auroc"] for one in open_set))
    settings = {(one["steps_train"], one["threads"]) for one in answers}
    steps, threads = next(iter(settings)) if len(settings) == 1 else (None, None)
    return {**found, "n_seeds": len(answers), "steps_train": steps, "threads": threads, "n_left_out": len(open_set)}


def lines(found: Mapping[str, Mapping[str, float | None]]) -> Iterator[str]:
    """Yield a Markdown table of all figures, then one of those that must reach something."""
    names = (*FIGURES[:-1], "open_set_auroc", "seconds_train")
    yield f"| data | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for data, figures in found.items():
        yield f"| {data} | {' | '.join(_told(name, figures) for name in names)} |"
    yield ""
    yield "| data | figure | measured | must | aim | |"
    yield "|---|---|---|---|---|---|"
    for bound in BOUNDS:
        value = found.get(bound.data, {}).get(bound.figure)
        if value is None:
            continue
        sign, verdict = ("≤" if bound.is_upper else "≥"), ("met" if bound.is_met(value) else "NOT MET")
        aim = "" if bound.aim is None else f"{sign} {bound.aim:g}"
        told = _told(bound.figure, found[bound.data])
        yield f"| {bound.data} | {bound.figure} | {told} | {sign} {bound.must:g} | {aim} | {verdict} |"


def _mean_and_sd(name: str, values: Iterable[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    mean = float(np.mean(known)) if known else None
    return {name: mean, f"{name}_sd": float(np.std(known, ddof=1)) if len(known) > 1 else None}


def _told(name: str, figures: Mapping[str, float | None]) -> str:
    value, spread = figures[name], figures[f"{name}_sd"]
    if value is None:
        return "–"
    digits = 0 if name == "seconds_train" else 4
    return f"{value:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")
