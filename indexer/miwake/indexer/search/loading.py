"""Loading the FAISS index of a generation whose files have been verified."""

from __future__ import annotations

from typing import Any

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError

INDEX_FILE = "index.faiss"

BLAS_THRESHOLD = 1024
"""Where FAISS turns to BLAS. Its own default of 128,000 runs mid-size batches at a tenth of the core's speed."""


def load_index(stored: bytes, *, n_references: int, n_dimensions: int) -> Any:  # FAISS has no types
    """Return the FAISS index in ``stored``, whose bytes must have been verified.

    Raises
    ------
    ArtifactCorruptError
        If FAISS cannot read it, or it holds something else than N embeddings of D dimensions.
    """
    import faiss  # noqa: PLC0415

    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    try:
        index = faiss.deserialize_index(np.frombuffer(stored, dtype=np.uint8))
    except RuntimeError as error:
        message = f"{INDEX_FILE}: FAISS cannot read it: {error}"
        raise ArtifactCorruptError(message) from error
    if (index.ntotal, index.d) != (n_references, n_dimensions):
        message = (
            f"{INDEX_FILE}: {index.ntotal} embeddings of {index.d} dimensions, "
            f"expected {n_references} of {n_dimensions}"
        )
        raise ArtifactCorruptError(message)
    return index
