"""Searching FAISS's inverted file for a batch at once, where its codes are halves: list by list, and not by query.

FAISS meets each query's lists in turn, and keeps what is nearest in a heap. A batch that is close together looks into
the same lists: their codes are read once for all, and what is nearest is chosen at the end. The loop is in
``list_loops``, which is imported, and compiled or read from numba's cache, at the first search.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.compiling import compile_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MET_AT_ONCE = 1 << 20
"""References that the queries of one call may meet where lists are of one size: about 4 MB of distances."""


@dataclass(frozen=True, slots=True, eq=False)
class InvertedLists:
    """Where the lists of an inverted file lie in memory, which is FAISS's.

    Attributes
    ----------
    owner : faiss.IndexIVFScalarQuantizer
        Keeps them there; nothing may be added to it.
    centres : (L, D) float32
    squares : (L,) float32
        Of the centres' lengths.
    lists : (3, L) int64
        The address of each list's halves, that of its ids, and its size.
    """

    owner: Any
    centres: NDArray[np.float32]
    squares: NDArray[np.float32]
    lists: NDArray[np.int64]

    @classmethod
    def of(cls, index: Any) -> InvertedLists | None:
        """Return the lists of a FAISS index, None where it is none whose lists hold vectors as halves."""
        import faiss  # noqa: PLC0415 - heavy, and not needed for --help

        if type(index).__name__ != "IndexIVFScalarQuantizer" or index.sq.qtype != faiss.ScalarQuantizer.QT_fp16:
            return None
        flat: Any = faiss.downcast_index(index.quantizer)
        is_plain = index.metric_type == faiss.METRIC_L2 and not index.by_residual
        if not is_plain or type(flat).__name__ not in {"IndexFlat", "IndexFlatL2"}:
            return None
        # Not by ``reconstruct_n``, which other libraries patch.
        # In a mapped file they may lie at any byte; BLAS wants a multiple of four.
        stored = np.require(faiss.rev_swig_ptr(flat.get_xb(), index.nlist * index.d), requirements="A")
        centres = stored.reshape(index.nlist, index.d)
        found, numbers = index.invlists, range(index.nlist)
        sizes = [found.list_size(one) for one in numbers]
        # FAISS gives no address of a list in which there is nothing.
        codes = [int(found.get_codes(one)) if size else 0 for one, size in zip(numbers, sizes, strict=True)]
        ids = [int(found.get_ids(one)) if size else 0 for one, size in zip(numbers, sizes, strict=True)]
        lists = np.array([codes, ids, sizes], dtype=np.int64)
        return cls(owner=index, centres=centres, squares=np.einsum("ld,ld->l", centres, centres), lists=lists)

    def search(self, queries: NDArray[np.float32], n_candidates: int, n_probes: int) -> NDArray[np.int64]:
        """Return the ids (Q, M) nearest to (Q, D) queries among the lists whose centres are nearest, in no order.

        Where there are fewer than M in those lists, or a query is not finite, the rest are -1, and come last.
        """
        y = np.ascontiguousarray(queries, dtype=np.float32)
        out = np.empty((len(y), n_candidates), dtype=np.int64)
        n_probes = min(n_probes, len(self.squares))
        n_together = max(1, MET_AT_ONCE // (n_probes * (int(self.lists[2].mean()) + 1)))
        for start in range(0, len(y), n_together):
            piece = slice(start, start + n_together)
            products = y[piece] @ self.centres.T
            _compiled()(y[piece], products, self.squares, n_probes, self.lists, out[piece])
        return out


@cache
def _compiled() -> Callable[..., None]:
    import numba  # noqa: PLC0415 - heavy; who only names these functions does not pay for it

    from miwake.indexer.search import list_loops  # noqa: PLC0415 - likewise

    types: Any = numba.types
    matrix = types.Array(types.float32, 2, "C")
    squares = types.Array(types.float32, 1, "C")
    rows = types.Array(types.int64, 2, "C")
    signature = types.void(matrix, matrix, squares, types.int64, rows, rows)
    return compile_loop(list_loops.nearest_in_lists, signature)
