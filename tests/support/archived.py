"""Stations as the archives hold them: real ones with a history, unpacked in milliseconds."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVES = Path(__file__).parents[1] / "archives"


def unpack(folder: Path, name: str = "store-format-1") -> Path:
    """Unpack an archive into ``folder`` and return the store in it."""
    with tarfile.open(ARCHIVES / f"{name}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder / "store"
