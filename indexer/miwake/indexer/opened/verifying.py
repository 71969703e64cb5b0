"""Comparing pairs of vectors as the index was calibrated: the references of the station have no part in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import PairBatch
from miwake.indexer.search.rows import to_unit_scale
from miwake.indexer.soart3.kernel import measures_by_id
from miwake.indexer.verdict.pair_measuring import cosine_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.embedder import Embedder
    from miwake.indexer.verdict.calibration import Calibration
    from miwake.indexer.verdict.pairs import PairCalibration


def compare_pairs(
    queries: NDArray[np.float32],
    references: NDArray[np.float32],
    embedder: Embedder,
    calibration: Calibration,
    pairs: PairCalibration,
) -> PairBatch:
    """Return how (Q, V) float32 inspection vectors compare with the (Q, V) references in the same rows."""
    y, x = np.split(embedder.embed(np.concatenate([queries, references])), 2)
    own = np.arange(len(y), dtype=np.int64)[:, None]
    rerank, mix = calibration.rerank, calibration.mix
    if rerank.space == "embedding":
        space = y, x
    else:
        space = to_unit_scale(queries, embedder.card.value_range), to_unit_scale(references, embedder.card.value_range)
    found = measures_by_id(*space, own, p_eta=rerank.p_eta, p_gamma=rerank.p_gamma)
    match = mix.distances(mix.scores(found.beta, found.eta, found.gamma))[:, 0]
    euclidean = measures_by_id(y, x, own).distance[:, 0]
    distances = {"match": match, "euclidean": euclidean, "cosine": cosine_distances(y, x)}
    deciding = distances[pairs.distance]
    return PairBatch(
        beta=found.beta[:, 0],
        eta=found.eta[:, 0],
        gamma=found.gamma[:, 0],
        match_distances=match,
        distances=euclidean,
        cosine_distances=distances["cosine"],
        deciding=deciding,
        probabilities=pairs.probabilities(deciding),
    )
