"""Building the index of a kind over embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def build_flat(embeddings: NDArray[np.float32]) -> bytes:
    """Return an exact FAISS index over (N, D) float32 embeddings, serialised."""
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    index = faiss.IndexFlatL2(embeddings.shape[1])
    index.add(embeddings)
    return bytes(faiss.serialize_index(index))
