"""Real inspection data, which is not part of the repository: found where it is, skipped where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "MIWAKE_TEST_DATA"
REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = REPOSITORY.parent / "shared" / "data"
"""Where the data lies beside a checkout; the variable names another folder."""


def shared_data(name: str) -> Path:
    """Return the path of a Parquet file of real data, such as ``deeppcb_36x39``, or skip the test and say why.

    Where a build server (``CI``) was told of a folder that is not there, the test fails: nobody would see it skip.
    """
    told = os.environ.get(VARIABLE)
    folder = Path(told) if told else DEFAULT_FOLDER
    path = folder / f"{name.removesuffix('.parquet')}.parquet"
    if path.is_file():
        return path
    if told and os.environ.get("CI") and not folder.is_dir():
        pytest.fail(f"{VARIABLE} names {folder}, which is not there")
    pytest.skip(f"no real data: {path} is not there ({VARIABLE} names the folder)")
