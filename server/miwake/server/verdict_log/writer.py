"""Writing entries to the folder: into a segment at a time, within the bound."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from miwake.server.verdict_log.folder import remove_oldest, seal_abandoned, size_bytes
from miwake.server.verdict_log.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from miwake.server.verdict_log.rows import Entry

N_SEGMENTS = 16
"""Segments that a full log is made of: removing the oldest takes a sixteenth of it."""

CHECKS_PER_SEGMENT = 4
"""How often the bound is looked after while a segment fills: other processes write to the folder, too."""


class Writer:
    """Writes to a folder that other processes may write to as well, each into segments of its own.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    max_bytes : int
        What all segments in the folder may take together.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = max_bytes // N_SEGMENTS
        self._checked_at_bytes = 0
        self._segment: Segment | None = None

    def open(self) -> None:
        """Put in order what a killed process left, and begin a segment.

        Raises
        ------
        OSError, sqlite3.Error
            If the folder cannot be written to.
        """
        self._begin()
        seal_abandoned(self.folder)

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries durably, all or none.

        What fails is tried once more in a new segment: somebody may have removed the one that was open.

        Raises
        ------
        OSError, sqlite3.Error
            If they cannot be written.
        """
        try:
            self._append(entries)
        except (OSError, sqlite3.Error):
            self.close()
            self._append(entries)

    def close(self) -> None:
        """Let go of the open segment."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    def _append(self, entries: Sequence[Entry]) -> None:
        segment = self._segment or self._begin()
        segment.append(entries)
        size = size_bytes(segment.path)
        if size >= self._segment_bytes:
            self.close()
        if size >= min(self._checked_at_bytes + self._segment_bytes // CHECKS_PER_SEGMENT, self._segment_bytes):
            self._checked_at_bytes = size
            self._keep_bound()

    def _begin(self) -> Segment:
        self._segment = Segment.create(self.folder)
        self._checked_at_bytes = 0
        self._keep_bound()
        return self._segment

    def _keep_bound(self) -> None:
        """Remove the oldest segments, so that there is room for what is written until the next look."""
        remove_oldest(self.folder, at_most=self._max_bytes - self._segment_bytes)
