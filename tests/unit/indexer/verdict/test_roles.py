import numpy as np
import pytest

from miwake.indexer.errors import CalibrationError
from miwake.indexer.verdict.roles import calibration_rows

PARTS = ("a", "a", "b", "b", "c", "d", "", "")
HASHES = tuple(f"row {row}" for row in range(8))
LABELS = np.array([0, 0, 1, 1, 0, 1, 0, 1], dtype=np.int32)


def rows(fitted: tuple[int, ...], labels: np.ndarray = LABELS) -> list[int]:
    found = calibration_rows(HASHES, PARTS, labels, {HASHES[row] for row in fitted})
    return np.flatnonzero(found).tolist()


def test_what_the_embedder_was_not_fitted_on_calibrates() -> None:
    assert rows((0, 1, 2, 3)) == [4, 5, 6, 7]


def test_the_rest_of_a_fitted_part_is_a_reference() -> None:
    assert rows((0, 2)) == [4, 5, 6, 7]


def test_a_row_without_a_part_is_a_part_of_its_own() -> None:
    assert rows((0, 2, 6)) == [4, 5, 7]


def test_an_embedder_fitted_on_everything_cannot_be_calibrated() -> None:
    with pytest.raises(CalibrationError, match="fitted on every part"):
        rows(tuple(range(8)))


def test_a_class_that_the_embedder_never_saw_has_references_and_calibration_rows() -> None:
    labels = np.array([0, 0, 1, 1, 7, 7, 7, 7], dtype=np.int32)

    found = rows((0, 1, 2, 3), labels)

    assert 0 < len(found) < 4


def test_an_embedder_from_elsewhere_leaves_a_share_of_every_class_to_calibrate() -> None:
    labels = np.repeat(np.arange(2, dtype=np.int32), 70)
    hashes = [str(row) for row in range(140)]

    found = calibration_rows(hashes, [f"part {row}" for row in range(140)], labels, {"another row"})

    assert [int(found[labels == label].sum()) for label in (0, 1)] == [10, 10]
