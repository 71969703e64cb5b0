"""From probabilities and novelty to decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import Decision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.verdict.calibration import ThresholdSet


def decide(
    is_pass: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    reject_probabilities: NDArray[np.float64] | None,
    novelty: NDArray[np.float32],
    thresholds: ThresholdSet,
) -> NDArray[np.int8]:
    """Return ``Decision`` codes (Q,).

    PASS needs a pass label and REJECT a reject label; what lies between the bounds is REVIEW, and what is far from
    every reference UNKNOWN. Without pass labels nothing passes, and a label that is not sure enough is REVIEW.

    Parameters
    ----------
    is_pass : (Q,) bool
        Whether the answered label is a pass label.
    probabilities : (Q,) float64
        That the label is right.
    reject_probabilities : (Q,) float64, or None
        None where all classes are on one side: a pass label, never told from a reject, is then REVIEW.
    novelty : (Q,) float32
    thresholds : ThresholdSet
    """
    decisions = np.full(len(is_pass), Decision.REVIEW, dtype=np.int8)
    if reject_probabilities is None:
        decisions[~is_pass & (probabilities >= thresholds.sure_at_least)] = Decision.REJECT
    else:
        decisions[is_pass & (reject_probabilities <= thresholds.pass_at_most)] = Decision.PASS
        decisions[~is_pass & (reject_probabilities >= thresholds.reject_at_least)] = Decision.REJECT
    decisions[~(novelty <= thresholds.novelty_at_most)] = Decision.UNKNOWN
    return decisions
