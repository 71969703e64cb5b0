from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.storage.array_file import ArrayWriter

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.random.default_rng(0).random((100, 7), dtype=np.float32)


@pytest.mark.parametrize("size", [1, 3, 64, 100])
def test_the_file_is_the_one_that_numpy_saves(tmp_path: Path, size: int) -> None:
    np.save(tmp_path / "plain.npy", ROWS)

    with ArrayWriter(tmp_path / "rows.npy", 100, 7) as writer:
        for start in range(0, 100, size):
            writer.append(ROWS[start : start + size])
        writer.finish()

    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "rows.npy", 100, 7) as writer:
        writer.append(ROWS)
        found = writer.finish()

    assert found == hashlib.sha256((tmp_path / "rows.npy").read_bytes()).hexdigest()


def test_rows_that_lie_otherwise_in_memory_are_written_in_their_order(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "rows.npy", 50, 7) as writer:
        writer.append(np.asfortranarray(ROWS)[::2])
        writer.finish()

    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), ROWS[::2])


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1, :6]])
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, rows: np.ndarray) -> None:
    with ArrayWriter(tmp_path / "rows.npy", 99, 7) as writer, pytest.raises(ValueError, match=r"expected \(99, 7\)"):
        writer.append(rows)


def test_a_file_with_rows_missing_is_not_finished(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "rows.npy", 101, 7) as writer:
        writer.append(ROWS)
        with pytest.raises(ValueError, match="100 rows, expected 101"):
            writer.finish()
