"""What calibration rows answered, cross-fitted, kept with a generation so that thresholds can be chosen again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.storage.files import read_npz, to_npz

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SCORES_FILE = "calibration_scores.npz"
FORMAT_VERSION = 1
_COLUMNS = {
    "truth": np.int32,
    "answered": np.int32,
    "reject_probabilities": np.float64,
    "probabilities": np.float64,
    "novelty": np.float32,
    "parts": np.int32,
}


@dataclass(frozen=True, slots=True)
class CalibrationScores:
    """What Q calibration rows answered, each by a fit that has not seen its part.

    Attributes
    ----------
    truth, answered : (Q,) int32
        The label a row bears, and the one it is answered.
    reject_probabilities : (Q,) float64, or (0,)
        That the row is a reject; none where all classes are on one side.
    probabilities : (Q,) float64
        That the answered label is right.
    novelty : (Q,) float32
        Mean distance to the nearest references.
    parts : (Q,) int32
        Number of the row's part, 0 … parts - 1.
    """

    truth: NDArray[np.int32]
    answered: NDArray[np.int32]
    reject_probabilities: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    novelty: NDArray[np.float32]
    parts: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def has_sides(self) -> bool:
        """Whether passes and rejects were told apart."""
        return len(self.reject_probabilities) == len(self.truth)

    @property
    def n_parts(self) -> int:
        """How many parts there are."""
        return len(np.unique(self.parts))

    def escape_scores(self, pass_labels: Sequence[int], label: int | None = None) -> NDArray[np.float64]:
        """Return for each reject part, of one class or of all, from which threshold on it passes; infinity for never.

        A part that has rejects and passes counts by its rejects.
        """
        rows = ~np.isin(self.truth, pass_labels) if label is None else self.truth == label
        labelled_pass = np.isin(self.answered[rows], pass_labels)
        scores = np.where(labelled_pass, self.reject_probabilities[rows], np.inf)
        return _by_part(np.minimum, scores, self.parts[rows], np.inf)

    def overkill_scores(self, pass_labels: Sequence[int]) -> NDArray[np.float64]:
        """Return for each pass part up to which threshold it is rejected; minus infinity for never."""
        rows = np.isin(self.truth, pass_labels)
        labelled_reject = ~np.isin(self.answered[rows], pass_labels)
        scores = np.where(labelled_reject, self.reject_probabilities[rows], -np.inf)
        return _by_part(np.maximum, scores, self.parts[rows], -np.inf)

    def take(self, rows: NDArray[np.intp]) -> CalibrationScores:
        """Return some rows."""
        rejects = self.reject_probabilities[rows] if self.has_sides else self.reject_probabilities
        return CalibrationScores(
            self.truth[rows],
            self.answered[rows],
            rejects,
            self.probabilities[rows],
            self.novelty[rows],
            self.parts[rows],
        )

    def to_npz(self) -> bytes:
        """Return the scores as the bytes of an NPZ file."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        return to_npz(format_version=np.array(FORMAT_VERSION, dtype=np.int64), **columns)


def joined(scores: Sequence[CalibrationScores]) -> CalibrationScores:
    """Return the rows of several as one."""
    return CalibrationScores(*(np.concatenate([getattr(one, name) for one in scores]) for name in _COLUMNS))


def _by_part(
    reduce: np.ufunc, scores: NDArray[np.float64], parts: NDArray[np.int32], start: float
) -> NDArray[np.float64]:
    numbers, codes = np.unique(parts, return_inverse=True)
    reduced = np.full(len(numbers), start)
    reduce.at(reduced, codes, scores)
    return reduced


def read_scores(folder: Path) -> CalibrationScores | None:
    """Return the scores of a generation whose hashes have been verified; None where it was built without.

    Raises
    ------
    ArtifactCorruptError, ArtifactVersionError
        If the file holds other arrays, arrays that do not fit each other, or another format.
    """
    path = folder / SCORES_FILE
    if not path.exists():
        return None
    version, *columns = read_npz(path, ("format_version", *_COLUMNS))
    if version.shape != () or int(version) != FORMAT_VERSION:
        message = f"{path}: format version {version.tolist()!r}, this release reads {FORMAT_VERSION}"
        raise ArtifactVersionError(message)
    scores = CalibrationScores(*columns)
    lengths = {len(column) for column in columns}
    if any(column.dtype != kind for column, kind in zip(columns, _COLUMNS.values(), strict=True)) or not (
        lengths == {len(scores)} or (lengths == {0, len(scores)} and not len(scores.reject_probabilities))
    ):
        message = f"{path}: arrays that do not fit each other"
        raise ArtifactCorruptError(message)
    return scores
