"""What each decision costs, and the thresholds that cost least on calibration rows."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.verdict.promises import PASS_GRID, REJECT_GRID

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.verdict.scores import CalibrationScores

NAMES = ("escape", "overkill", "review", "unknown")
DECISIONS = ("PASS", "REJECT", "REVIEW", "UNKNOWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCosts:
    """What each decision on a part of one side costs, in any unit; none negative."""

    passed: float = 0.0
    rejected: float = 0.0
    reviewed: float = 0.0
    unknown: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostMatrix:
    """What each decision costs on rejects and on passes."""

    rejects: SideCosts
    passes: SideCosts


def parse_costs(text: str) -> CostMatrix:
    """Return the costs that ``escape=100,overkill=1,review=0.2`` or a JSON or TOML file names.

    In the text, right decisions cost nothing, and UNKNOWN costs what REVIEW does unless ``unknown=`` says otherwise. A
    file holds two tables, ``reject`` and ``pass``, each with a cost for each of ``PASS``, ``REJECT``, ``REVIEW`` and
    ``UNKNOWN``.

    Raises
    ------
    DataError
        If the text or the file says something else, or a cost is negative or not finite.
    """
    if text.endswith((".json", ".toml")):
        return _from_file(Path(text))
    found = {}
    for item in text.split(","):
        name, _, value = item.partition("=")
        if name.strip() not in NAMES or name.strip() in found:
            message = f"cost {item!r}: expected each of {', '.join(NAMES)} once at most, such as escape=100"
            raise DataError(message)
        found[name.strip()] = _cost(value, text)
    missing = [name for name in NAMES[:3] if name not in found]
    if missing:
        message = f"costs {text!r}: {', '.join(missing)} missing"
        raise DataError(message)
    review, unknown = found["review"], found.get("unknown", found["review"])
    return CostMatrix(
        rejects=SideCosts(passed=found["escape"], reviewed=review, unknown=unknown),
        passes=SideCosts(rejected=found["overkill"], reviewed=review, unknown=unknown),
    )


def _from_file(path: Path) -> CostMatrix:
    try:
        text = path.read_text(encoding="utf-8")
        stored = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read as costs: {error}"
        raise DataError(message) from error
    if not (isinstance(stored, dict) and set(stored) == {"reject", "pass"}):
        message = f"{path}: expected the tables reject and pass"
        raise DataError(message)
    return CostMatrix(rejects=_side(stored["reject"], path), passes=_side(stored["pass"], path))


def _side(stored: Any, path: Path) -> SideCosts:  # whatever a file holds
    if not (isinstance(stored, dict) and set(stored) == set(DECISIONS)):
        message = f"{path}: {stored!r}, expected a cost for each of {', '.join(DECISIONS)}"
        raise DataError(message)
    passed, rejected, reviewed, unknown = (_cost(stored[decision], str(path)) for decision in DECISIONS)
    return SideCosts(passed=passed, rejected=rejected, reviewed=reviewed, unknown=unknown)


def _cost(value: Any, where: str) -> float:  # whatever a file holds
    try:
        cost = float(value)
    except (TypeError, ValueError):
        cost = -1.0
    if not (math.isfinite(cost) and cost >= 0):
        message = f"{where}: cost {value!r}, expected a number of at least 0"
        raise DataError(message)
    return cost


def row_weights(is_pass: NDArray[np.bool_], reject_share: float | None) -> NDArray[np.float64]:
    """Return the weight (Q,) of each row, 1 in all: alike, or such that the rejects weigh ``reject_share``."""
    if reject_share is None:
        return np.full(len(is_pass), 1 / len(is_pass))
    n_passes = max(int(is_pass.sum()), 1)
    n_rejects = max(len(is_pass) - int(is_pass.sum()), 1)
    return np.where(is_pass, (1 - reject_share) / n_passes, reject_share / n_rejects)


def cheapest_thresholds(
    scores: CalibrationScores,
    is_pass: NDArray[np.bool_],
    labelled_pass: NDArray[np.bool_],
    costs: CostMatrix,
    *,
    reject_share: float | None = None,
    at_most: float = 0.5,
    at_least: float = 0.0,
) -> tuple[float, float]:
    """Return pass_at_most and reject_at_least with the least expected cost; of equals the stricter.

    PASS needs a pass label and REJECT a reject label, so either threshold is chosen from rows of its own.

    Parameters
    ----------
    scores : CalibrationScores
        Of Q rows, without those that are UNKNOWN whatever the thresholds are.
    is_pass, labelled_pass : (Q,) bool
        Whether each row is a pass, and is answered a pass label.
    costs : CostMatrix
    reject_share : float, optional
        Share of rejects among the parts of the line; by default that among the rows.
    at_most, at_least : float
        What has been promised allows no laxer thresholds than these.
    """
    weights = row_weights(is_pass, reject_share)
    gains = np.where(
        is_pass, costs.passes.passed - costs.passes.reviewed, costs.rejects.passed - costs.rejects.reviewed
    )
    chosen = scores.reject_probabilities[labelled_pass]
    pass_at_most = _cheapest(PASS_GRID[at_most >= PASS_GRID], chosen, (weights * gains)[labelled_pass])
    gains = np.where(
        is_pass, costs.passes.rejected - costs.passes.reviewed, costs.rejects.rejected - costs.rejects.reviewed
    )
    grid = np.concatenate([REJECT_GRID, PASS_GRID[-2::-1]])
    grid = grid[(grid >= at_least) & (grid >= pass_at_most)]
    chosen = scores.reject_probabilities[~labelled_pass]
    return pass_at_most, -_cheapest(-grid, -chosen, (weights * gains)[~labelled_pass])


def _cheapest(grid: NDArray[np.float64], scores: NDArray[np.float64], costs: NDArray[np.float64]) -> float:
    """Return the threshold of an ascending grid under which the costs of the scores up to it sum to the least."""
    order = np.argsort(scores, kind="stable")
    sums = np.append(0.0, np.cumsum(costs[order]))
    totals = sums[np.searchsorted(scores[order], grid, side="right")]
    return float(grid[int(np.argmin(np.round(totals, 12)))])
