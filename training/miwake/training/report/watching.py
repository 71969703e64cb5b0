"""What a service would have flagged: inputs that are not healthy, and parts far from every reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.evaluation import rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.assessing.trial import Trial
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.evaluation import Rate
    from miwake.indexer.records import Records

LIMIT = 1.0
"""Deviation from what is ordinary, in units of its limit, beyond which an input is flagged, as in a new index."""


@dataclass(frozen=True, slots=True)
class HealthShares:
    """Queries beyond the limits of input health.

    Attributes
    ----------
    flagged : Rate
        Beyond any of them.
    beyond : by the name of a statistic, (Rate, Rate)
        Below its low limit, above its high one.
    expected : float or None
        Share of the calibration rows beyond a limit when the limits were learnt.
    """

    flagged: Rate
    beyond: dict[str, tuple[Rate, Rate]]
    expected: float | None


@dataclass(frozen=True, slots=True)
class Novelty:
    """How far queries lie from the references.

    Attributes
    ----------
    distances : (Q,) float32
        Mean Euclidean distance to the nearest references that are of other parts, as many as a verdict takes.
    bound : (Q,) float64
        Beyond it a query is UNKNOWN in a new index.
    is_known : (Q,) bool
        Whether the references have its class.
    flagged_known, flagged_new : Rate or None
        None where there are no such queries.
    """

    distances: NDArray[np.float32]
    bound: NDArray[np.float64]
    is_known: NDArray[np.bool_]
    flagged_known: Rate | None
    flagged_new: Rate | None


def health_shares(embedder: Embedder, queries: Records) -> HealthShares | None:
    """Return which share of the queries is beyond a limit; None where the artifact does not say what is ordinary."""
    health = embedder.card.health
    if health is None:
        return None
    deviations = embedder.health(queries.vectors)
    low, high = deviations < -LIMIT, deviations > LIMIT
    beyond = {
        one.name.lower().replace("_", " "): (
            rate(low[:, one], parts=queries.parts),
            rate(high[:, one], parts=queries.parts),
        )
        for one in HealthStatistic
    }
    return HealthShares(rate(np.any(low | high, axis=1), parts=queries.parts), beyond, health.false_alarms)


def novelty(trial: Trial, parts: Sequence[str]) -> Novelty | None:
    """Return how far the queries lie from the references; None where no bound could be calibrated."""
    if not trial.fits:
        return None
    distances = np.empty(len(trial.queries.labels), dtype=np.float32)
    bound = np.empty(len(distances))
    everyone = np.arange(len(trial.references.labels))
    for fit in trial.fits:
        calibration = fit.calibration
        found = trial.to_references(trial.nearest(everyone, calibration.n_novelty), "euclidean")[fit.queries]
        there = np.isfinite(found)
        sums = np.where(there, found, 0).sum(axis=1)
        distances[fit.queries] = np.where(there.any(axis=1), sums / np.maximum(there.sum(axis=1), 1), np.inf)
        bound[fit.queries] = calibration.thresholds.novelty_at_most
    is_known = np.isin(trial.queries.labels, trial.classes)
    flagged = distances > bound
    of_known, of_new = (
        rate(flagged[rows], parts=[part for part, is_in in zip(parts, rows.tolist(), strict=True) if is_in])
        if rows.any()
        else None
        for rows in (is_known, ~is_known)
    )
    return Novelty(distances, bound, is_known, of_known, of_new)
