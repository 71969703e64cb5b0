"""What is measured during a run: retrieval on the calibration parts, and which mirrorings are harmless."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from miwake.training.mirrors import Mirror, harmless_mirrors
from miwake.training.retrieval import RetrievalScore, retrieval_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.training.division import TrainingRows
    from miwake.training.networks import Embedder

MOST_ROWS = 2000
"""Queries, and references, of a validation: more would cost more than they tell."""

BATCH = 256
"""Vectors embedded at once."""


class Validation:
    """Calibration rows as queries against fit rows as references, both thinned to what a validation may cost."""

    def __init__(self, rows: TrainingRows, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self._queries = _thinned(rows.calibration, generator)
        self._references = _thinned(rows.fit, generator)

    def score(self, embedder: Embedder) -> RetrievalScore | None:
        """Return how well an embedder retrieves the labels of the calibration rows; None where there are none."""
        if len(self._queries) == 0:
            return None
        return retrieval_score(
            embed(embedder, self._queries.vectors),
            self._queries.labels,
            embed(embedder, self._references.vectors),
            self._references.labels,
        )

    def harmless_mirrors(self, embedder: Embedder) -> tuple[Mirror, ...]:
        """Return the mirrorings that change nothing for an embedder that has seen no mirrored map."""
        return harmless_mirrors(partial(embed, embedder), self._queries, self._references)


def embed(embedder: Embedder, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the embeddings (N, D) of raw vectors (N, V) by PyTorch, the network as it stands, where it stands."""
    device = embedder.low.device
    with torch.inference_mode():
        batches = [embedder(batch.to(device)).cpu() for batch in torch.split(torch.from_numpy(vectors), BATCH)]
    embeddings: NDArray[np.float32] = torch.cat(batches).numpy()
    return embeddings


def _thinned(records: Records, generator: np.random.Generator) -> Records:
    if len(records) <= MOST_ROWS:
        return records
    return records.take(np.sort(generator.choice(len(records), MOST_ROWS, replace=False)))
