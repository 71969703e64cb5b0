"""Real inspection data, which is not part of the repository: found where it is, skipped where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "MIWAKE_TEST_DATA"
REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = REPOSITORY.parent / "shared" / "data"
"""Where the data lies beside a checkout; the variable names another folder."""


def real_data(name: str) -> Path:
    """Return the path of a file of real data, or skip the test, saying which file is missing and how to name it."""
    folder = Path(os.environ.get(VARIABLE) or DEFAULT_FOLDER)
    path = folder / name
    if not path.is_file():
        pytest.skip(f"no real data: {path} is not there ({VARIABLE} names the folder)")
    return path
