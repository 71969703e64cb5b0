"""Embeddings that are known already: those of the current generation, where embedder and vector are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.storage.reference_files import ReferenceFiles, map_array

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.embedder import Embedder
    from miwake.indexer.storage.reading import Snapshot

EMBEDDINGS_FILE = "embeddings.npy"


class KnownEmbeddings:
    """The vectors of a verified generation and their embeddings, found by row hash and compared byte by byte."""

    def __init__(self, folder: Path) -> None:
        references = ReferenceFiles.open(folder)
        self._vectors = references.vectors
        self._embeddings: NDArray[np.float32] = map_array(folder / EMBEDDINGS_FILE, np.float32, 2)
        hashes = _as_integers(references.texts("row_hash", np.arange(len(references))))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def positions(self, batch: Snapshot) -> NDArray[np.intp]:
        """Return for each of n references where its vector lies in the generation, (n,), or -1."""
        wanted = _as_integers(batch.row_hashes)
        places = np.searchsorted(self._hashes, wanted)
        places[places == len(self._hashes)] = 0
        found = np.where(self._hashes[places] == wanted, self._order[places], -1)
        rows = np.flatnonzero(found >= 0)
        same = (self._vectors[found[rows]] == batch.vectors[rows]).all(axis=1)
        found[rows[~same]] = -1
        return found

    def embed(self, batch: Snapshot, embedder: Embedder) -> tuple[NDArray[np.float32], int]:
        """Return the embeddings (n, D) float32 of a batch, and how many of them were known."""
        positions = self.positions(batch)
        is_new = positions < 0
        embeddings = np.empty((len(batch), self._embeddings.shape[1]), dtype=np.float32)
        embeddings[~is_new] = self._embeddings[positions[~is_new]]
        if is_new.any():
            embeddings[is_new] = embedder.embed(batch.vectors[is_new])
        return embeddings, int((~is_new).sum())


def _as_integers(row_hashes: Sequence[str]) -> NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex("".join(row_hashes)), dtype=np.uint64)
