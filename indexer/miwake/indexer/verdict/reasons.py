"""What speaks against a plain PASS or REJECT, and why a part with an unhealthy input does not pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import Decision, DecisionReason, HealthStatistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEALTH_FLAGS = np.array([DecisionReason[one.name] for one in HealthStatistic], dtype=np.int16)
"""The reason that stands for each health statistic."""

EVEN = 0.5
"""From this reject probability on a reject is the more probable."""


def beyond_limits(health: NDArray[np.float32], health_at_most: float | None) -> NDArray[np.bool_]:
    """Return which statistics (Q, H) deviate by more than the bound; None, and a bound of infinity: none does.

    A deviation that is not a number is beyond every bound.
    """
    if health_at_most is None:
        return np.zeros(health.shape, dtype=np.bool_)
    beyond: NDArray[np.bool_] = ~(np.abs(health) <= health_at_most)
    return beyond


def hold_back(decisions: NDArray[np.int8], beyond: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Return the decisions (Q,) with REVIEW for each PASS whose input is beyond a limit, by (Q, H) bool.

    REJECT stays: a defect is often what makes a map unusual, and no limit here makes a pass of anything.
    """
    held = (decisions == Decision.PASS) & beyond.any(axis=1)
    return np.where(held, np.int8(Decision.REVIEW), decisions)


def reasons_for(
    decisions: NDArray[np.int8],
    is_pass: NDArray[np.bool_],
    reject_probabilities: NDArray[np.float64] | None,
    beyond: NDArray[np.bool_],
) -> NDArray[np.int16]:
    """Return ``DecisionReason`` flags (Q,) int16.

    Parameters
    ----------
    decisions : (Q,) int8
        Before parts were held back for their input.
    is_pass : (Q,) bool
        Whether the answered label is a pass label.
    reject_probabilities : (Q,) float64, or None
        None where all classes are on one side.
    beyond : (Q, H) bool
        Which health statistics are beyond their limits; H may be 0.
    """
    reasons = np.zeros(len(decisions), dtype=np.int16)
    reasons[decisions == Decision.UNKNOWN] = DecisionReason.NOVEL
    in_review = decisions == Decision.REVIEW
    if reject_probabilities is None:
        reasons[in_review] = DecisionReason.LABEL_NOT_SURE
    else:
        contradicts = is_pass == (reject_probabilities >= EVEN)
        reasons[in_review] = DecisionReason.BETWEEN_THRESHOLDS
        reasons[in_review & contradicts] = DecisionReason.CONTRADICTION
    n_statistics = beyond.shape[1]
    return reasons | (beyond @ HEALTH_FLAGS[:n_statistics]).astype(np.int16)
