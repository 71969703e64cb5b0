"""Loading what searches a generation whose files have been verified: mapped into memory, never copied."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.search.card import SEARCH_FILE, SearchCard
from miwake.indexer.search.proposing import ReferenceIndex, tune_faiss

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INDEX_FILE = "index.faiss"

_CLASSES = {
    "flat": "IndexFlatL2",
    "ivf-flat": "IndexIVFScalarQuantizer",
    "hnsw": "IndexHNSWSQ",
    "ivf-pq": "IndexIVFPQ",
}
"""What FAISS calls each kind."""

_limit = threading.Lock()
"""FAISS has one limit of what it reads for the whole process, and it differs by file."""


def load_index(folder: Path, card: SearchCard, embeddings: NDArray[np.float32]) -> ReferenceIndex:
    """Return what searches the references of a generation whose files have been verified.

    Parameters
    ----------
    folder : Path
    card : SearchCard
        Its ``search.json``.
    embeddings : (N, D) float32
        Memory-mapped; exact search reads them where they lie.

    Raises
    ------
    ArtifactCorruptError
        If FAISS cannot read the index, or it is of another kind than the card's, or holds other than N x D embeddings.
    """
    path = folder / INDEX_FILE
    stored = _read(path)
    found = type(stored).__name__
    if found != _CLASSES[card.kind]:
        message = f"{path}: {found}, {SEARCH_FILE} says {card.kind}, which is {_CLASSES[card.kind]}"
        raise ArtifactCorruptError(message)
    if (stored.ntotal, stored.d) != embeddings.shape:
        message = (
            f"{path}: {stored.ntotal} embeddings of {stored.d} dimensions, "
            f"expected {embeddings.shape[0]} of {embeddings.shape[1]}"
        )
        raise ArtifactCorruptError(message)
    plain = np.asarray(embeddings)
    # The embeddings themselves are searched as they are, so that no second copy of them is ever read.
    return ReferenceIndex(plain) if card.kind == "flat" else ReferenceIndex(plain, stored, card.parameters)


def _read(path: Path) -> Any:  # FAISS has no types
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    tune_faiss()
    # The tables that FAISS would compute for ivf-pq take 262 bytes a reference.
    flags = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE
    with _limit:
        usual = faiss.get_deserialization_vector_byte_limit()
        try:
            # Nothing in a file is larger than the file.
            faiss.set_deserialization_vector_byte_limit(path.stat().st_size)
            return faiss.read_index(str(path), flags)
        except (OSError, RuntimeError) as error:
            message = f"{path}: FAISS cannot read it: {error}"
            raise ArtifactCorruptError(message) from error
        finally:
            faiss.set_deserialization_vector_byte_limit(usual)
