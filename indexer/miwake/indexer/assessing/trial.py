"""Queries against references and anchors: who is near whom, by cosine, Euclidean and SOART3 match distance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from miwake.indexer.search.exact import find_exactly
from miwake.indexer.search.rows import to_unit_scale
from miwake.indexer.soart3.kernel import measures_by_id
from miwake.indexer.verdict.calibration import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorKind, Anchors
    from miwake.indexer.verdict.calibration import RerankSettings
    from miwake.indexer.verdict.measuring import Sample

Distance = Literal["cosine", "euclidean", "soart3"]

AT_ONCE = 64
"""Queries whose raw maps are compared together: with 100 of each, 36 MB of maps of 1,404 values."""

NO_PART = -1


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration, its kind of anchors, and the queries (n,) it is for: it has seen none of their parts."""

    queries: NDArray[np.intp]
    calibration: Calibration
    anchors: AnchorKind = "class-mean"


@dataclass(frozen=True)
class Trial:
    """Q queries, R references with C classes, and the anchors of those.

    Attributes
    ----------
    queries, references : Sample
    anchors : by kind, Anchors
        One for each class of the references.
    query_parts, reference_parts : (Q,) and (R,) integers
        A reference of the query's own part is never compared with it; ``NO_PART`` is of no part.
    fits : tuple of Fit
        Together they cover every query; none where nothing could be calibrated, and then there is no match distance.
    """

    queries: Sample
    references: Sample
    anchors: dict[AnchorKind, Anchors]
    query_parts: NDArray[np.int64]
    reference_parts: NDArray[np.int64]
    fits: tuple[Fit, ...] = ()

    @property
    def distances(self) -> tuple[Distance, ...]:
        """The distances there are."""
        return ("cosine", "euclidean", "soart3") if self.fits else ("cosine", "euclidean")

    @property
    def classes(self) -> NDArray[np.int32]:
        """The labels of the references, each once, (C,) ascending."""
        return self.anchors["class-mean"].labels

    @cached_property
    def is_unit(self) -> bool:
        """Whether all embeddings have length 1, so that cosine and Euclidean distance order alike."""
        both = (self.queries.embeddings, self.references.embeddings)
        return all(bool((np.abs(np.einsum("nd,nd->n", one, one) - 1) < 1e-4).all()) for one in both)

    def nearest(self, rows: NDArray[np.intp], n_nearest: int, *, by: Distance = "euclidean") -> NDArray[np.int64]:
        """Return which of some references (n,) are nearest to each query, (Q, n_nearest), nearest first.

        Of a query's own part there are none; -1 fills up where there are fewer. SOART3 proposes by Euclidean distance.
        """
        queries, references = self.queries.embeddings, self.references.embeddings
        if by == "cosine" and not self.is_unit:
            queries, references = _of_unit_length(queries), _of_unit_length(references)
        n_found = min(n_nearest + self._most_of_a_part, len(rows))
        found = find_exactly(queries, references, rows, n_found)
        found = np.where(self._is_own_part(found), -1, found)
        order = np.argsort(found < 0, axis=1, kind="stable")[:, :n_nearest]
        found = np.take_along_axis(found, order, axis=1)
        return np.pad(found, ((0, 0), (0, n_nearest - found.shape[1])), constant_values=-1)

    def without_own_part(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return positions (Q, k) of references with -1 for those of the query's own part."""
        return np.where(self._is_own_part(positions), -1, positions)

    def to_references(self, positions: NDArray[np.int64], by: Distance) -> NDArray[np.float32]:
        """Return the distances (Q, k) of the queries to references at given positions; infinite to none (-1)."""
        if by != "soart3":
            return _plain_distances(self.queries.embeddings, self.references.embeddings, positions, by)
        found = np.empty(positions.shape, dtype=np.float32)
        for fit in self.fits:
            measures = self.measures(fit.queries, positions[fit.queries], fit.calibration.rerank)
            mix = fit.calibration.mix
            found[fit.queries] = mix.distances(mix.scores(*measures))
        return np.where(positions < 0, np.float32(np.inf), found)

    def to_anchors(self, by: Distance, kind: AnchorKind = "class-mean") -> NDArray[np.float32]:
        """Return the distances (Q, C) of the queries to every anchor of a kind."""
        anchors = self.anchors[kind]
        n_queries, embedded = len(self.queries.labels), anchors.embeddings
        positions = np.tile(np.arange(len(embedded), dtype=np.int64), (n_queries, 1))
        if by != "soart3":
            return _plain_distances(self.queries.embeddings, embedded, positions, by)
        found = np.empty(positions.shape, dtype=np.float32)
        for fit in self.fits:
            rerank, mix = fit.calibration.rerank, fit.calibration.mix
            if rerank.space == "embedding":
                sides = self.queries.embeddings[fit.queries], embedded
            else:
                maps = to_unit_scale(anchors.vectors, self.references.value_range)
                sides = self.queries.raw(fit.queries), maps
            measured = measures_by_id(*sides, positions[fit.queries], p_eta=rerank.p_eta, p_gamma=rerank.p_gamma)
            found[fit.queries] = mix.distances(mix.scores(measured.beta, measured.eta, measured.gamma))
        return found

    def measures(
        self, queries: NDArray[np.intp], positions: NDArray[np.int64], rerank: RerankSettings
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return beta, eta and gamma (n, k) of some queries (n,) with their references; not a number for none (-1)."""
        powers = {"p_eta": rerank.p_eta, "p_gamma": rerank.p_gamma}
        if rerank.space == "embedding":
            found = measures_by_id(self.queries.embeddings[queries], self.references.embeddings, positions, **powers)
            return found.beta, found.eta, found.gamma
        pieces = []
        for start in range(0, len(queries), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            rows, ids = np.unique(positions[some], return_inverse=True)
            ids = ids.reshape(positions[some].shape) - int(rows[0] < 0)  # -1, where there is one, comes first
            maps = self.references.raw(rows[rows >= 0])
            found = measures_by_id(self.queries.raw(queries[some]), maps, ids, **powers)
            pieces.append((found.beta, found.eta, found.gamma))
        beta, eta, gamma = (np.vstack(column) for column in zip(*pieces, strict=True))
        return beta, eta, gamma

    def _is_own_part(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        own = self.query_parts[:, None]
        return np.asarray((own != NO_PART) & (self.reference_parts[positions] == own))

    @cached_property
    def _most_of_a_part(self) -> int:
        shared = self.reference_parts[np.isin(self.reference_parts, self.query_parts[self.query_parts != NO_PART])]
        return int(np.unique(shared, return_counts=True)[1].max()) if len(shared) else 0


def part_codes(*parts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return for each sequence of parts its codes: the same for the same name everywhere, ``NO_PART`` for none."""
    codes = {part: code for code, part in enumerate(dict.fromkeys(part for some in parts for part in some if part))}
    return [np.array([codes.get(part, NO_PART) for part in some], dtype=np.int64) for some in parts]


def _plain_distances(
    queries: NDArray[np.float32], references: NDArray[np.float32], positions: NDArray[np.int64], by: Distance
) -> NDArray[np.float32]:
    """Return Euclidean distances from residuals, or 1 - cosine: half the square of that between unit vectors."""
    if by == "cosine":
        queries, references = _of_unit_length(queries), _of_unit_length(references)
    found = measures_by_id(queries, references, positions).distance
    if by == "cosine":
        found = found * found * np.float32(0.5)
    return np.where(positions < 0, np.float32(np.inf), found)


def _of_unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.ascontiguousarray(vectors / lengths, dtype=np.float32)
