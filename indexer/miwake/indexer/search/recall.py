"""How many of the best matches among all references are found among the candidates: ``recall.json``.

Candidates are the nearest references by Euclidean distance; SOART3 re-ranks them by match distance. A better match that
is not among them is never seen. Measured with references as queries, everything of their own part left out: those that
the embedder was not fitted on, where there are enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.opened.live import LiveReferences
from miwake.indexer.search.exhaustive import best_matches
from miwake.indexer.storage.files import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.opened.contents import IndexContents
    from miwake.indexer.search.candidates import Candidates

RECALL_FILE = "recall.json"
FORMAT_VERSION = 1

N_NEIGHBOURS = 15
"""K."""

MOST_QUERIES, LEAST_QUERIES = 256, 16
VALUES_COMPARED = 1.25e9
"""Values of references that all queries are compared with: as many as take some half a second."""

MOST_OF_A_PART = 64
"""Rows of larger parts are not asked for: with all of them left out, few others would remain."""

TOLERANCE = 1e-5
"""Between scores that were computed alike: rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRecall:
    """What re-ranking the candidates finds of what re-ranking every reference would.

    Attributes
    ----------
    share : float
        Of the K best matches of each query; a tie counts.
    worst_query : float
        The least share among the queries.
    n_queries, n_neighbours, n_candidates : int
        Q, K, M.
    """

    share: float
    worst_query: float
    n_queries: int
    n_neighbours: int
    n_candidates: int
    format_version: int = FORMAT_VERSION


def read_recall(folder: Path) -> CandidateRecall | None:
    """Return what was measured of a generation whose files have been verified; None where it never was.

    Raises
    ------
    ArtifactVersionError
        If its format version is another.
    ArtifactCorruptError
        If it holds something else.
    """
    path = folder / RECALL_FILE
    return read_json(path, CandidateRecall, FORMAT_VERSION) if path.exists() else None


def measure_recall(contents: IndexContents, *, seed: int = 0) -> CandidateRecall | None:
    """Compare the candidates of an index, re-ranked, with all its references, re-ranked; None where there are too few.

    Parameters
    ----------
    contents : IndexContents
    seed : int
        Of the references that are asked for.
    """
    parts = _part_codes(contents)
    rows = _chosen_rows(contents, parts, seed)
    own = [np.flatnonzero(parts == parts[row]) for row in rows.tolist()]
    n_own = max((len(one) for one in own), default=0)
    n_references = len(parts)
    n_neighbours = min(N_NEIGHBOURS, n_references - n_own)
    if n_neighbours < 1 or not len(rows):
        return None
    references, rerank, mix = LiveReferences(contents), contents.calibration.rerank, contents.calibration.mix
    vectors = np.array(contents.references.vectors[rows])
    embedded = contents.embedder.embed(vectors)
    space = references.space(rerank)
    found = references.find(vectors, embedded, min(rerank.n_candidates + n_own, n_references))
    best = best_matches(
        space, embedded, space.queries(vectors, embedded), np.arange(n_references), mix, n_neighbours + n_own
    )

    def scores_of(candidates: Candidates, query: int, n_first: int) -> NDArray[np.float64]:
        scores = mix.scores(candidates.beta[query], candidates.eta[query], candidates.gamma[query])
        is_other = ~np.isin(candidates.positions[query], own[query])
        return np.sort(scores[is_other][:n_first])

    shares = np.empty(len(rows))
    for query in range(len(rows)):
        limit = scores_of(best, query, n_neighbours)[-1]
        reached = scores_of(found, query, rerank.n_candidates) <= limit + TOLERANCE * max(1.0, abs(limit))
        shares[query] = min(int(reached.sum()), n_neighbours) / n_neighbours
    return CandidateRecall(
        share=float(shares.mean()),
        worst_query=float(shares.min()),
        n_queries=len(rows),
        n_neighbours=n_neighbours,
        n_candidates=rerank.n_candidates,
    )


def _part_codes(contents: IndexContents) -> NDArray[np.int64]:
    """Return (N,) numbers, equal for rows of one part; a row without a part is one of its own."""
    codes, parts = contents.references.codes("part")
    numbered = codes.astype(np.int64)
    if "" in parts:
        unknown = np.flatnonzero(codes == parts.index(""))
        numbered[unknown] = len(parts) + np.arange(len(unknown))
    return numbered


def _chosen_rows(contents: IndexContents, parts: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
    card, calibration = contents.embedder.card, contents.calibration
    n_values = card.n_dimensions if calibration.rerank.space == "embedding" else card.n_values
    n_wanted = int(np.clip(VALUES_COMPARED / (n_values * len(parts)), LEAST_QUERIES, MOST_QUERIES))
    counts = np.bincount(parts)
    order = np.random.default_rng(seed).permutation(len(parts))
    order = order[counts[parts[order]] <= MOST_OF_A_PART]
    fitted = frozenset(card.fit_row_hashes)
    looked_at = order[: 16 * n_wanted]
    is_new = [one not in fitted for one in contents.references.texts("row_hash", looked_at)]
    unseen = looked_at[np.array(is_new, dtype=np.bool_)]
    return np.sort((unseen if len(unseen) >= n_wanted else order)[:n_wanted])
