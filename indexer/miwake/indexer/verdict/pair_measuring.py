"""The pairs that verification is calibrated on: calibration queries with references drawn for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.verdict.pairs import N_PAIRS, Pairs, draw_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.verdict.calibration import RerankSettings
    from miwake.indexer.verdict.choosing_rows import Rows
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.measuring import Bench

AT_ONCE = 256
"""Queries whose cosines are computed together."""


def measure_pairs(bench: Bench, rows: Rows, rerank: RerankSettings, mix: MatchMix, *, seed: int) -> Pairs:
    """Return pairs of the bench's queries with references of their class and of others; none is of the query's part."""
    labels = bench.sample.labels
    drawn = draw_pairs(labels[bench.rows], labels[rows.references], np.random.default_rng(seed))
    is_there = drawn >= 0
    positions = rows.references[np.maximum(drawn, 0)].astype(np.int64)
    found = bench.compare(positions, rerank)
    match = mix.distances(mix.scores(found.beta, found.eta, found.gamma))
    cosine = _cosine_distances_at(bench.sample.embeddings, bench.rows, positions)
    is_genuine = np.broadcast_to(np.arange(drawn.shape[1]) < N_PAIRS, drawn.shape)
    parts = np.broadcast_to(rows.parts[bench.rows][:, None], drawn.shape)
    return Pairs(
        is_genuine[is_there],
        parts[is_there],
        {"match": match[is_there], "euclidean": found.distances[is_there], "cosine": cosine[is_there]},
    )


def cosine_distances(queries: NDArray[np.float32], references: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one minus the cosine, in 0 … 2, of (…, D) float32 queries with the (…, D) references at their places.

    From residuals of the unit vectors, so that it is 0 from a vector to itself; 1 from and to a zero vector.
    """
    lengths = [np.linalg.norm(one, axis=-1, keepdims=True) for one in (queries, references)]
    unit = [one / np.maximum(length, 1e-30) for one, length in zip((queries, references), lengths, strict=True)]
    apart = np.square(unit[0] - unit[1]).sum(axis=-1) / 2
    is_zero = (lengths[0] * lengths[1])[..., 0] == 0
    return np.where(is_zero, np.float32(1), apart).astype(np.float32)


def _cosine_distances_at(
    embeddings: NDArray[np.float32], queries: NDArray[np.intp], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    pieces = [slice(start, start + AT_ONCE) for start in range(0, len(queries), AT_ONCE)]
    return np.concatenate(
        [cosine_distances(embeddings[queries[piece], None], embeddings[positions[piece]]) for piece in pieces]
    )
