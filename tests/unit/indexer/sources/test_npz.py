from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records
from support.parts_table import vectors

if TYPE_CHECKING:
    from pathlib import Path

LABELS = np.array([0, 1, 0, 1, 2, 2])


def npz(folder: Path, **changed: Any) -> Path:
    """Write an NPZ file with vectors, labels and parts; an array given as None is left out."""
    arrays = {"vectors": vectors(), "labels": LABELS, "parts": np.array(list("abcdef"))} | changed
    path = folder / "parts.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_arrays_become_records(tmp_path: Path) -> None:
    path = npz(
        tmp_path,
        failure_modes=np.array(["pass", "", "pass", "open", "short", "short"]),
        groups=np.array([b"lot"] * 6),
        ids=np.arange(6),
        times=np.array(["2026-01-31T12:00:00", "NaT"] * 3, dtype="datetime64[s]"),
        pass_labels=np.array([1, 2]),
        value_range=np.array([0, 255]),
        heat_map_shape=np.array([1, 4]),
    )

    records = read_records(path)

    np.testing.assert_array_equal(records.vectors, vectors())
    assert records.labels.tolist() == LABELS.tolist()
    assert records.failure_modes == ("pass", "", "pass", "open", "short", "short")
    assert (records.parts, records.groups) == (tuple("abcdef"), ("lot",) * 6)
    assert records.ids == tuple("012345")
    assert records.times == ("2026-01-31T12:00:00Z", "") * 3
    assert (records.pass_labels, records.value_range, records.heat_map_shape) == ((1, 2), (0.0, 255.0), (1, 4))
    assert records.warnings == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64])
def test_vectors_of_any_kind_of_number_are_read(tmp_path: Path, dtype: type[np.number[Any]]) -> None:
    np.testing.assert_array_equal(read_records(npz(tmp_path, vectors=vectors().astype(dtype))).vectors, vectors())


def test_maps_tell_their_shape(tmp_path: Path) -> None:
    records = read_records(npz(tmp_path, vectors=vectors().reshape(6, 4, 1)))

    assert records.heat_map_shape == (4, 1)
    np.testing.assert_array_equal(records.vectors, vectors())


def test_arrays_can_be_named_as_columns_are(tmp_path: Path) -> None:
    path = npz(tmp_path, labels=None, parts=None, code=LABELS, board=np.arange(6))

    records = read_records(path, ReadSettings(label_column="code", part_column="board"))

    assert records.labels.tolist() == LABELS.tolist()
    assert records.parts == tuple("012345")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vectors": None}, "no array vectors; it has labels, parts"),
        ({"labels": None}, "no array label or labels; it has vectors, parts"),
        ({"labels": LABELS[:5]}, "array labels has shape (5,), expected (6,)"),
        ({"labels": LABELS[:, None]}, "array labels has shape (6, 1), expected (6,)"),
        ({"parts": np.array("a")}, "array parts has shape (), expected (6,)"),
        ({"vectors": vectors()[0]}, "vectors holds float32 (4,), expected numbers (N, V) or (N, rows, columns)"),
        ({"vectors": vectors()[:, :0]}, "vectors holds float32 (6, 0), expected"),
        ({"vectors": vectors() + 1j}, "vectors holds complex64 (6, 4), expected"),
        ({"vectors": vectors().astype(str)}, "expected numbers (N, V) or (N, rows, columns)"),
        ({"vectors": vectors()[:0], "labels": LABELS[:0], "parts": LABELS[:0]}, "it holds no rows"),
        ({"labels": LABELS + 0.5}, "row 0, column labels: 0.5, expected an integer"),
        ({"labels": LABELS.astype(np.uint64) + 2**63}, "row 0, column labels: 9223372036854775808 is beyond int32"),
        ({"vectors": vectors().astype(float) * 1e38}, "row 0, column vectors[0]: inf, expected a finite float32"),
        ({"pass_labels": np.array([0.5])}, "metadata pass_labels: '[0.5]', expected a JSON list of whole numbers"),
        ({"value_range": np.array([0, np.nan])}, "expected two finite numbers, the lower one first"),
        ({"parts": np.array([{}] * 6)}, "not a readable NPZ file without pickled objects"),
    ],
)
def test_arrays_that_are_no_records_are_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    path = npz(tmp_path, **changed)

    with pytest.raises(DataError) as caught:
        read_records(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("kept", [0, 3, 10, 200, -10])
def test_a_cut_off_file_is_one_clear_error(tmp_path: Path, kept: int) -> None:
    path = npz(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(DataError, match=r"parts\.npz: not a readable NPZ file"):
        read_records(path)


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path: Path, seed: int) -> None:
    path = npz(tmp_path)
    damaged = bytearray(path.read_bytes())
    place, bit = np.random.default_rng(seed).integers([len(damaged), 8])
    damaged[place] ^= 1 << bit
    path.write_bytes(damaged)

    try:
        found = read_records(path).vectors
    except DataError:
        return
    np.testing.assert_array_equal(found, vectors())
