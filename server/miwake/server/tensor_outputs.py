"""What verdicts become as tensors of the Open Inference Protocol: an output for each part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miwake.indexer.answers import Decision, ReferenceMap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch


class Output(NamedTuple):
    """One output: its data type, its dimensions after the first, and how it is taken from verdicts."""

    data_type: str
    dimensions: tuple[int, ...]
    take: Callable[[VerdictBatch], NDArray[np.generic] | Sequence[object]]


def _reject_probabilities(batch: VerdictBatch) -> NDArray[np.float32]:
    found = batch.reject_probabilities
    return np.full(len(batch), np.nan, dtype=np.float32) if found is None else found


RESIDUALS = (
    "beta",
    "eta",
    "gamma",
    "l2",
    "l6",
    "largest",
    "standardised_l2",
    "standardised_l6",
    "standardised_largest",
)
"""The columns of the output ``residuals``."""


def _residuals(batch: VerdictBatch) -> NDArray[np.float32]:
    found = batch.residuals
    if found is None:
        return np.full((len(batch), len(RESIDUALS)), np.nan, dtype=np.float32)
    return np.stack([getattr(found, name) for name in RESIDUALS], axis=1)


def _reference_maps(batch: VerdictBatch) -> list[str]:
    codes = [0] * len(batch) if batch.residuals is None else batch.residuals.reference.tolist()
    return [ReferenceMap(code).name for code in codes]


OUTPUTS: Mapping[str, Output] = {
    "label": Output("INT32", (), lambda batch: batch.labels),
    "failure_mode": Output("BYTES", (), lambda batch: batch.failure_modes),
    "decision": Output("BYTES", (), lambda batch: [Decision(code).name for code in batch.decisions.tolist()]),
    "probability": Output("FP32", (), lambda batch: batch.probabilities),
    "reject_probability": Output("FP32", (), _reject_probabilities),
    "margin": Output("FP32", (), lambda batch: batch.margins),
    "novelty": Output("FP32", (), lambda batch: batch.novelty),
    "anchor_labels": Output("INT32", (-1,), lambda batch: batch.anchor_labels),
    "anchor_distances": Output("FP32", (-1,), lambda batch: batch.anchor_distances),
    "neighbour_ids": Output("BYTES", (-1,), lambda batch: batch.neighbours.ids),
    "neighbour_labels": Output("INT32", (-1,), lambda batch: batch.neighbours.labels),
    "neighbour_distances": Output("FP32", (-1,), lambda batch: batch.neighbours.distances),
    "neighbour_betas": Output("FP32", (-1,), lambda batch: batch.neighbours.beta),
    "neighbour_etas": Output("FP32", (-1,), lambda batch: batch.neighbours.eta),
    "neighbour_gammas": Output("FP32", (-1,), lambda batch: batch.neighbours.gamma),
    "neighbour_match_distances": Output("FP32", (-1,), lambda batch: batch.neighbours.match_distances),
    "reference_map": Output("BYTES", (), _reference_maps),
    "residuals": Output("FP32", (len(RESIDUALS),), _residuals),
}
"""Every output by name. ``reject_probability`` is NaN where the station has no pass labels, and ``residuals`` where a
vector was compared with no map."""
