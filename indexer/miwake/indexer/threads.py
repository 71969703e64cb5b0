"""Threads of the numerical libraries: one, so that processes and streams that share a few cores do not fight."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import threadpoolctl

if TYPE_CHECKING:
    from collections.abc import Iterator


def pin_threads(n_threads: int = 1) -> None:
    """Limit BLAS and OpenMP, FAISS included, to ``n_threads`` for the rest of the process.

    Measured with FAISS: from many threads on one core the slowest hundredth of searches takes 24 to 62 ms instead of
    0.2 ms, and more BLAS threads than cores lose 3 to 14 %. ONNX Runtime has its own pool; ``Embedder`` gives it one.
    """
    _load()
    threadpoolctl.threadpool_limits(limits=n_threads)


@contextmanager
def pinned_threads(n_threads: int = 1) -> Iterator[None]:
    """Limit them as ``pin_threads`` does, and undo it at the end: for what is called from a process of others."""
    _load()
    with threadpoolctl.threadpool_limits(limits=n_threads):
        yield


def _load() -> None:
    # Only what is loaded is limited.
    import faiss  # noqa: F401, PLC0415
    import scipy.linalg  # noqa: F401, PLC0415
