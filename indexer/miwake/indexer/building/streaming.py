"""From the store into a generation's folder: references are read, verified, written and embedded batch by batch.

Reading, hashing and writing go on while the batch before is embedded on threads of their own; ONNX Runtime, SQLite and
hashlib let the other run. No more than a few batches of vectors are held at once, whatever the number of references.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.building.reuse import EMBEDDINGS_FILE
from miwake.indexer.storage.array_file import ArrayWriter
from miwake.indexer.storage.reference_files import ReferenceWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from miwake.indexer.building.reuse import KnownEmbeddings
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.storage.reading import Snapshot

BATCH = 512
"""References in hand at once, 3 MB of vectors of 1,404 values: what was read is still in the cache when it is hashed,
written and embedded. A multiple of what the embedder runs at once, so that batches change no embedding."""

N_EMBEDDING = 2
"""Threads that embed: reading leaves a part of its core to the second, on a machine that has two."""

AHEAD = 3
"""Batches that wait to be embedded while the next is read."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """What was written: file name → SHA-256, and how many embeddings were known before."""

    hashes: dict[str, str]
    n_reused: int


def stream_references(
    folder: Path,
    batches: Iterable[Snapshot],
    n_references: int,
    embedder: Embedder,
    *,
    known: KnownEmbeddings | None = None,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Streamed:
    """Write ``vectors.npy``, ``references.arrow`` and ``embeddings.npy`` of N references.

    Parameters
    ----------
    folder : Path
        Of a generation in the making.
    batches : iterable of Snapshot
        As ``ReferenceStore.batches`` yields them, in the caller's thread.
    known : KnownEmbeddings, optional
        Where vectors are looked up before they are embedded.
    advance : callable
        Is told after each batch how many references are embedded, and N.
    """

    def embed(batch: Snapshot) -> tuple[NDArray[np.float32], int]:
        return (embedder.embed(batch.vectors), 0) if known is None else known.embed(batch, embedder)

    card = embedder.card
    n_done, n_reused = 0, 0
    waiting: deque[Future[tuple[NDArray[np.float32], int]]] = deque()
    with (
        ReferenceWriter(folder, n_references, card.n_values) as references,
        ArrayWriter(folder / EMBEDDINGS_FILE, n_references, card.n_dimensions) as embeddings,
        ThreadPoolExecutor(N_EMBEDDING, thread_name_prefix="embed") as pool,
    ):

        def take() -> None:
            nonlocal n_done, n_reused
            found, n_known = waiting.popleft().result()
            embeddings.append(found)
            n_done, n_reused = n_done + len(found), n_reused + n_known
            advance(n_done, n_references)

        for batch in batches:
            waiting.append(pool.submit(embed, batch))
            references.append(batch)
            while len(waiting) > AHEAD:
                take()
        while waiting:
            take()
        return Streamed({**references.finish(), EMBEDDINGS_FILE: embeddings.finish()}, n_reused)
