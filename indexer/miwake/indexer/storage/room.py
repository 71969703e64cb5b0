"""Whether the disk has room for a generation, asked before it is written rather than when the disk is full."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from miwake.indexer.errors import NoRoomError

if TYPE_CHECKING:
    from pathlib import Path

BYTES_BESIDE = 400
"""Of a reference, beside its numbers: texts, the lists of the index."""

BYTES_AROUND = 4_000_000
"""Of a generation, whatever its size."""


def generation_bytes(n_references: int, *, n_values: int, n_dimensions: int) -> int:
    """Return about how many bytes a generation takes: each vector once, each embedding twice (once in the index)."""
    return n_references * (4 * n_values + 8 * n_dimensions + BYTES_BESIDE) + BYTES_AROUND


def check_room(folder: Path, needed: int) -> None:
    """Check that ``needed`` bytes are free where ``folder`` lies.

    Raises
    ------
    NoRoomError
        If fewer are.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoomError(folder, needed=needed, free=free)
