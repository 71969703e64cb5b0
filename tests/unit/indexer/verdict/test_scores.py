from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.storage.files import to_npz
from miwake.indexer.verdict.scores import SCORES_FILE, CalibrationScores, joined, read_scores

SCORES = CalibrationScores(
    truth=np.array([1, 1, 2, 0, 0, 0], dtype=np.int32),
    answered=np.array([0, 1, 0, 0, 1, 2], dtype=np.int32),
    reject_probabilities=np.array([0.3, 0.1, 0.2, 0.05, 0.7, 0.9]),
    probabilities=np.array([0.7, 0.6, 0.8, 0.95, 0.5, 0.6]),
    novelty=np.arange(6, dtype=np.float32),
    parts=np.array([0, 0, 1, 1, 2, 2], dtype=np.int32),
)


def test_a_reject_part_escapes_by_its_surest_row_that_is_labelled_pass() -> None:
    assert SCORES.escape_scores([0]).tolist() == [0.3, 0.2]


def test_escapes_of_one_class_are_those_of_its_own_rows() -> None:
    assert SCORES.escape_scores([0], 2).tolist() == [0.2]


def test_a_part_labelled_reject_throughout_never_passes() -> None:
    assert SCORES.escape_scores([5], 1).tolist() == [np.inf]


def test_a_pass_part_is_overkilled_by_its_surest_row_that_is_labelled_reject() -> None:
    assert SCORES.overkill_scores([0]).tolist() == [-np.inf, 0.9]


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / SCORES_FILE).write_bytes(SCORES.to_npz())

    found = read_scores(tmp_path)

    assert found is not None
    assert found.to_npz() == SCORES.to_npz()


def test_rows_of_several_are_joined_in_order() -> None:
    found = joined([SCORES.take(np.arange(2)), SCORES.take(np.arange(2, 6))])

    assert found.to_npz() == SCORES.to_npz()


def test_a_generation_without_scores_has_none(tmp_path: Path) -> None:
    assert read_scores(tmp_path) is None


def test_scores_of_one_side_have_no_reject_probabilities(tmp_path: Path) -> None:
    one_sided = replace(SCORES, reject_probabilities=np.empty(0))
    (tmp_path / SCORES_FILE).write_bytes(one_sided.to_npz())

    found = read_scores(tmp_path)

    assert found is not None
    assert not found.has_sides
    assert not found.take(np.arange(2)).has_sides


def test_another_format_is_refused_by_name(tmp_path: Path) -> None:
    columns = {name: np.asarray(getattr(SCORES, name)) for name in CalibrationScores.__slots__}
    (tmp_path / SCORES_FILE).write_bytes(to_npz(format_version=np.array(2), **columns))

    with pytest.raises(ArtifactVersionError, match=r"calibration_scores\.npz: format version 2"):
        read_scores(tmp_path)


@pytest.mark.parametrize(
    "damaged",
    [
        replace(SCORES, novelty=SCORES.novelty[:5]),
        replace(SCORES, parts=np.arange(6)),  # type: ignore[arg-type]  # what a damaged file may hold
        replace(SCORES, probabilities=np.empty(0)),
    ],
    ids=["short", "of another kind", "empty"],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, damaged: CalibrationScores) -> None:
    (tmp_path / SCORES_FILE).write_bytes(damaged.to_npz())

    with pytest.raises(ArtifactCorruptError, match="do not fit"):
        read_scores(tmp_path)
