"""Many calibration rows: fits work on a sample of them, and whole parts of the others are answered besides."""

from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.verdict.calibrate import calibrate
from miwake.indexer.verdict.choosing_rows import MAX_ANSWERED, MAX_QUERIES
from miwake.indexer.verdict.measuring import Sample
from miwake.indexer.verdict.scores import CalibrationScores

N_ROWS, N_REFERENCES, ROWS_A_PART = 14_600, 600, 2


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels, two kinds of rejects among many passes, and parts."""
    labels = np.zeros(N_ROWS, dtype=np.int32)
    labels[::10], labels[1::10] = 3, 3
    return labels, tuple(f"part {row // ROWS_A_PART}" for row in range(N_ROWS))


@pytest.fixture(scope="module")
def scores(rows: tuple[np.ndarray, tuple[str, ...]]) -> CalibrationScores:
    labels, parts = rows
    rng = np.random.default_rng(4)
    vectors = (rng.normal(0, 1, (N_ROWS, 4)) + labels[:, None]).astype(np.float32)
    sample = Sample(embeddings=vectors, vectors=vectors, labels=labels, value_range=(-5.0, 8.0))
    calibrates = np.arange(N_ROWS) >= N_REFERENCES
    means = np.stack([vectors[:N_REFERENCES][labels[:N_REFERENCES] == label].mean(axis=0) for label in (0, 3)])

    def distances(queries: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(queries[:, None] - means, axis=2), dtype=np.float32)

    return calibrate(sample, calibrates, parts, distances, (0,), n_candidates=20).answer()


def test_more_rows_are_answered_than_fits_work_on(scores: CalibrationScores) -> None:
    assert MAX_QUERIES < MAX_ANSWERED - ROWS_A_PART < len(scores) <= MAX_ANSWERED


def test_parts_are_answered_whole(scores: CalibrationScores) -> None:
    assert set(np.bincount(scores.parts).tolist()) == {ROWS_A_PART}


def test_every_part_with_rejects_is_answered(scores: CalibrationScores) -> None:
    assert (scores.truth == 3).sum() == (N_ROWS - N_REFERENCES) // 5


def test_what_no_fit_has_seen_is_answered_as_well_as_the_rest(scores: CalibrationScores) -> None:
    right = scores.truth == scores.answered

    assert right[:MAX_QUERIES].mean() == pytest.approx(right[MAX_QUERIES:].mean(), abs=0.02)
    assert right.mean() > 0.95
    assert (scores.reject_probabilities[scores.truth == 3] > 0.5).mean() > 0.95
