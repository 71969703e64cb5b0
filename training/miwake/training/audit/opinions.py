"""What the other parts say about each row: class probabilities from a model that has not seen the row's part.

Kernel ridge regression (Nyström approximation: Williams and Seeger, NIPS 2000) over the descriptions of ``features``,
cross-fitted over folds of whole parts. Probabilities are the softmax of its scores at the temperature that makes the
labels likeliest, over all rows out of their fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from miwake.training.audit.axes import principal_axes
from miwake.training.audit.features import learn_dictionary
from miwake.training.audit.folds import N_FOLDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records

N_LANDMARKS = 2_500
"""Rows that all others are compared with: more gain little, and the time grows with the square."""

N_COMPACT = 64
"""Principal components of the descriptions in which neighbours are looked for."""

RIDGE = 0.1
JITTER = 3e-6
"""For each row: what keeps the rounding of float32 sums from being taken for data; a thirtieth makes answers random."""
LEAST_LOG = np.log(1e-6)


@dataclass(frozen=True, slots=True)
class Descriptions:
    """N rows as the models see them.

    Attributes
    ----------
    kernel : (N, L) float32
        Similarity to the landmarks, 0 … 1.
    landmarks : (L,) integers
        Their rows.
    compact : (N, D) float32
        Principal components of the descriptions.
    """

    kernel: NDArray[np.float32]
    landmarks: NDArray[np.intp]
    compact: NDArray[np.float32]


def describe(records: Records, width: float, *, seed: int = 0) -> Descriptions:
    """Return descriptions of all rows of ``records``, whose values span ``width``; no label is looked at."""
    rng = np.random.default_rng(seed)
    dictionary = learn_dictionary(records.vectors, records.heat_map_shape, width, rng)
    landmarks = np.sort(rng.choice(len(records), min(len(records), N_LANDMARKS), replace=False))
    some = np.concatenate(list(dictionary.describe(records.vectors[landmarks])))
    mean, deviation = some.mean(axis=0), some.std(axis=0) + np.float32(1e-6)
    some = (some - mean) / deviation
    axes = principal_axes(some, N_COMPACT)
    squares = np.einsum("lf,lf->l", some, some)
    typical = _typical_distance(some, squares)
    kernel = np.empty((len(records), len(landmarks)), dtype=np.float32)
    compact = np.empty((len(records), axes.shape[1]), dtype=np.float32)
    start = 0
    for batch in dictionary.describe(records.vectors):
        rows = slice(start, start + len(batch))
        plain = (batch - mean) / deviation
        own = np.einsum("bf,bf->b", plain, plain)
        kernel[rows] = np.exp(-np.maximum(own[:, None] + squares - 2 * (plain @ some.T), 0) / typical)
        compact[rows] = plain @ axes
        start += len(batch)
    return Descriptions(kernel, landmarks, compact)


def out_of_part_scores(
    descriptions: Descriptions, columns: NDArray[np.intp], n_classes: int, folds: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the score of each class for each row, (N, C), from rows of the other folds.

    Parameters
    ----------
    columns : (N,) integers
        The class of each row, in 0 … C - 1.
    folds : (N,) integers
    """
    kernel, landmarks = descriptions.kernel, descriptions.landmarks
    targets = np.where(columns[:, None] == np.arange(n_classes), 1.0, -1.0).astype(np.float32)
    counts = np.maximum(np.bincount(columns, minlength=n_classes), 1)
    weights = (1 / np.sqrt(counts))[columns]
    roots = np.sqrt(weights / weights.mean()).astype(np.float32)[:, None]
    products, answers = [], []
    for fold in range(N_FOLDS):
        rows = folds == fold
        weighted = kernel[rows] * roots[rows]
        products.append((weighted.T @ weighted).astype(np.float64))
        answers.append((weighted.T @ (targets[rows] * roots[rows])).astype(np.float64))
    smooth = RIDGE * kernel[landmarks].astype(np.float64)
    smooth[np.diag_indices(len(smooth))] += JITTER * len(columns)
    all_products, all_answers = np.sum(products, axis=0) + smooth, np.sum(answers, axis=0)
    scores = np.empty((len(columns), n_classes))
    for fold in range(N_FOLDS):
        rows = folds == fold
        weights_of = np.linalg.solve(all_products - products[fold], all_answers - answers[fold])
        scores[rows] = kernel[rows] @ weights_of
    return scores


def log_probabilities(scores: NDArray[np.float64], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return scores (N, C) as log probabilities, at the temperature that makes the labels (N,) likeliest."""
    rows = np.arange(len(columns))

    def unlikeliness(log_factor: float) -> float:
        return -float(log_softmax(scores * np.exp(log_factor), axis=1)[rows, columns].mean())

    best = minimize_scalar(unlikeliness, bounds=(-3.0, 4.0), method="bounded", options={"xatol": 0.01}).x
    found: NDArray[np.float64] = log_softmax(scores * np.exp(best), axis=1)
    return np.maximum(found, LEAST_LOG)


def _typical_distance(rows: NDArray[np.float32], squares: NDArray[np.float32]) -> float:
    some = slice(None, None, max(len(rows) // 250, 1))
    distances = squares[some, None] + squares - 2 * (rows[some] @ rows.T)
    return max(float(np.median(distances)), 1e-6)
