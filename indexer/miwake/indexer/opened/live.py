"""The references that an index searches: a generation's, with the changes since it was built."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import NeighbourBatch
from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.laps import RERANK, SEARCH, Laps
from miwake.indexer.opened.matching import SnapshotColumns, matches
from miwake.indexer.opened.overlay import overlaid_anchors
from miwake.indexer.search.candidates import Candidates, RerankSpace, measure, measure_every, nearest
from miwake.indexer.search.ordering import pick
from miwake.indexer.search.pool import Pool, propose_among
from miwake.indexer.search.proposing import propose
from miwake.indexer.search.rows import LiveRows
from miwake.indexer.search.spaces import LiveSpace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.filters import Filter
    from miwake.indexer.opened.contents import IndexContents
    from miwake.indexer.opened.found import Found
    from miwake.indexer.opened.overlay import Overlay
    from miwake.indexer.verdict.calibration import RerankSettings

N_POOLS = 4
"""Filters whose references are kept in mind: most callers ask with one filter again and again."""


class LiveReferences:
    """N references of a generation at positions 0 … N - 1, and n that were added since behind them.

    Attributes
    ----------
    revision : int
        The revision whose references count.
    n_counted : int
        How many count: those of the generation that are not masked, and those added.
    labels : (N + n,) int32
    failure_codes : (N + n,) int32
        Which of ``failure_mode_names`` each reference bears.
    failure_mode_names : tuple of texts
    anchors : Anchors
    """

    def __init__(self, contents: IndexContents, overlay: Overlay | None = None) -> None:
        files = contents.references
        self._contents = contents
        self._overlay = overlay
        self._masked = np.empty(0, dtype=np.int64) if overlay is None else overlay.masked
        self._n_stored = len(files)
        self._space = _rerank_space(contents)
        self.revision = contents.revision if overlay is None else overlay.revision
        self.labels: NDArray[np.int32] = files.labels
        self.failure_codes, self.failure_mode_names = files.codes("failure_mode")
        self.anchors = contents.anchors
        if overlay is not None:
            self.anchors = overlaid_anchors(contents, overlay)
            self._append(overlay)
        self._failure_modes = np.array(self.failure_mode_names, dtype=object)
        self.n_counted = len(self.labels) - len(self._masked)
        self._rows = _live_rows(contents, overlay)
        # Not by a method: one that is kept in its own object leaves a cycle, and so a generation in memory.
        self.pool = lru_cache(N_POOLS)(partial(_pool, contents, overlay))

    def _append(self, overlay: Overlay) -> None:
        added = overlay.added
        code_of = {name: code for code, name in enumerate(self.failure_mode_names)}
        codes = [code_of.setdefault(name, len(code_of)) for name in added.failure_modes]
        self.failure_mode_names = tuple(code_of)
        self.failure_codes = np.concatenate([self.failure_codes, np.array(codes, dtype=np.int32)])
        self.labels = np.concatenate([self.labels, added.labels])

    def counted_labels(self) -> NDArray[np.int32]:
        """Return the labels of the references that count."""
        return np.delete(self.labels, self._masked) if len(self._masked) else self.labels

    def usual_failure_codes(self, labels: Sequence[int]) -> NDArray[np.intp]:
        """Return the most frequent failure code of each label."""
        codes = np.delete(self.failure_codes, self._masked) if len(self._masked) else self.failure_codes
        counted = self.counted_labels()
        return np.array([np.bincount(codes[counted == label]).argmax() for label in labels], dtype=np.intp)

    def ids(self, positions: NDArray[np.int64]) -> tuple[tuple[str, ...], ...]:
        """Return the ids of the references at (Q, K) positions, a tuple a row."""
        if self._overlay is None:
            texts = self._contents.references.ids(positions)
            n_each = positions.shape[1]
            return tuple(texts[row * n_each : (row + 1) * n_each] for row in range(len(positions)))
        stored = iter(self._contents.references.ids(positions[positions < self._n_stored]))
        added = self._overlay.added.ids
        return tuple(
            tuple(next(stored) if position < self._n_stored else added[position - self._n_stored] for position in row)
            for row in positions.tolist()
        )

    def failure_modes(self, positions: NDArray[np.int64]) -> tuple[tuple[str, ...], ...]:
        """Return the failure modes of the references at (Q, K) positions, a tuple a row."""
        return tuple(map(tuple, self._failure_modes[self.failure_codes[positions]].tolist()))

    def neighbours(self, found: Found) -> NeighbourBatch:
        """Return what is known of the neighbours that were found."""
        candidates = found.candidates
        columns = (*candidates.columns()[1:], found.match_distances)
        positions, picked = pick(found.ranking, candidates.positions, columns)
        distances, beta, eta, gamma, match_distances = picked
        return NeighbourBatch(
            positions=positions,
            labels=self.labels[positions],
            ids=self.ids(positions),
            failure_modes=self.failure_modes(positions),
            distances=distances,
            beta=beta,
            eta=eta,
            gamma=gamma,
            match_distances=match_distances,
        )

    def vector(self, position: int) -> NDArray[np.float32]:
        """Return the inspection vector (V,) float32 of the reference at a position."""
        if self._overlay is not None and position >= self._n_stored:
            return np.array(self._overlay.added.vectors[position - self._n_stored])
        return np.array(self._contents.references.vectors[position])

    def find(self, vectors: NDArray[np.float32], embedded: NDArray[np.float32], n_candidates: int) -> Candidates:
        """Return the nearest references that count.

        Parameters
        ----------
        vectors : (Q, V) float32
        embedded : (Q, D) float32
        n_candidates : int
            M; at most ``n_counted``.
        """
        found, added = self._find_both(vectors, embedded, n_candidates, Laps())
        return found if added is None else nearest(found.beside(added), n_candidates)

    def find_voters(
        self, vectors: NDArray[np.float32], embedded: NDArray[np.float32], n_candidates: int, laps: Laps
    ) -> Candidates:
        """Return the M nearest of the generation, and besides what was added and is as near as the last of them.

        What was added takes no place away, so that a new reject cannot keep another reject from voting. At most M of
        the added are returned; where a query has fewer than another, the rest is infinitely far, and comes last.
        """
        found, added = self._find_both(vectors, embedded, n_candidates, laps)
        if added is None:
            laps.end(RERANK)
            return found
        reach = found.distances[:, -1:] if found.distances.shape[1] == n_candidates else np.float32(np.inf)
        near = added.beyond(reach)
        n_near = int(np.isfinite(near.distances).sum(axis=1).max())
        near = nearest(near, min(n_near, n_candidates))
        every = nearest(found.beside(near), found.positions.shape[1] + near.positions.shape[1])
        laps.end(RERANK)
        return every

    @property
    def has_added(self) -> bool:
        """Whether any were added since the generation was built."""
        return len(self.labels) > self._n_stored

    def is_added(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of some positions are of references that were added since the generation was built."""
        return np.asarray(positions >= self._n_stored)

    def _find_both(
        self, vectors: NDArray[np.float32], embedded: NDArray[np.float32], n_candidates: int, laps: Laps
    ) -> tuple[Candidates, Candidates | None]:
        """Return the M nearest of the generation, nearest first, and all that were added, in no order."""
        queries = embedded if self._space.is_embedding else self._rows.to_unit_scale(vectors)
        found = self._find_stored(embedded, queries, n_candidates, laps)
        if self._overlay is None or not len(self._overlay):
            return found, None
        embeddings = self._overlay.embeddings
        references = embeddings if self._space.is_embedding else self._rows.to_unit_scale(self._overlay.added.vectors)
        return found, measure_every(embedded, embeddings, self._space.over(references), queries, first=self._n_stored)

    def _find_stored(
        self, embedded: NDArray[np.float32], queries: NDArray[np.float32], n_candidates: int, laps: Laps
    ) -> Candidates:
        """Search the generation; as many more are proposed as are masked, so that enough are left."""
        n_masked = len(self._masked)
        n_found = min(n_candidates, self._n_stored - n_masked)
        n_proposed = min(n_candidates + n_masked, self._n_stored)
        positions = propose(self._contents.faiss_index, embedded, n_proposed)
        laps.end(SEARCH)
        found = measure(positions, embedded, self._contents.embeddings, self._space, queries)
        if n_masked:
            found = found.without(self._masked)
        return nearest(found, n_found)

    def propose(self, embedded: NDArray[np.float32], n_candidates: int, where: Filter | None) -> NDArray[np.int64]:
        """Return positions (Q, m) among which are the M nearest of the references for which a filter holds."""
        return propose_among(self.pool(where), self._contents.faiss_index, embedded, n_candidates)

    def space(self, settings: RerankSettings) -> LiveSpace:
        """Return the references as SOART3 compares them with any settings."""
        return LiveSpace(self._rows, settings)


def _pool(contents: IndexContents, overlay: Overlay | None, where: Filter | None) -> Pool:
    """Return the references that count and for which a filter holds; None: all that count."""
    files = contents.references
    is_in = np.ones(len(files), dtype=np.bool_) if where is None else matches(where, files)
    if overlay is None:
        return Pool(np.flatnonzero(is_in), np.empty(0, dtype=np.int64))
    is_in[overlay.masked] = False
    added = np.arange(len(files), len(files) + len(overlay.added.labels))
    if where is not None:
        added = added[matches(where, SnapshotColumns(overlay.added))]
    return Pool(np.flatnonzero(is_in), added)


def _live_rows(contents: IndexContents, overlay: Overlay | None) -> LiveRows:
    stored = contents.references.vectors
    return LiveRows(
        embeddings=contents.embeddings,
        vectors=stored,
        raw=contents.raw,
        added_embeddings=contents.embeddings[:0] if overlay is None else overlay.embeddings,
        added_vectors=stored[:0] if overlay is None else overlay.added.vectors,
        value_range=contents.embedder.card.value_range,
    )


def _rerank_space(contents: IndexContents) -> RerankSpace:
    settings = contents.calibration.rerank
    if settings.space == "embedding":
        return RerankSpace(contents.embeddings, is_embedding=True, p_eta=settings.p_eta, p_gamma=settings.p_gamma)
    if contents.raw is None:
        message = f"{contents.station}/{contents.generation}: it re-ranks raw maps, and holds none"
        raise ArtifactCorruptError(message)
    return RerankSpace(contents.raw, is_embedding=False, p_eta=settings.p_eta, p_gamma=settings.p_gamma)
