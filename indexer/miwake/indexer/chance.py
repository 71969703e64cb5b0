"""Choosing between ways that were tried on the same rows: luck alone does not replace the usual one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Way = TypeVar("Way")

STANDARD_ERRORS = 2.0


def best_beyond_chance(right: Mapping[Way, NDArray[np.bool_]], usual: Way) -> Way:
    """Return the way that is right most often, the usual one unless beaten by two standard errors of the difference.

    The difference is paired: only rows count that one is right on and the other is not (McNemar, 1947,
    doi:10.1007/BF02295996). Less is the luck of having tried several.

    Parameters
    ----------
    right : mapping of way to (N,) bool
        Whether each is right on each row, the same rows in the same order.
    usual : way
        One of them.
    """
    best, before = usual, right[usual]
    for way, hits in right.items():
        gained, lost = np.count_nonzero(hits & ~before), np.count_nonzero(before & ~hits)
        is_beyond = gained - lost > STANDARD_ERRORS * np.sqrt(gained + lost)
        if is_beyond and hits.mean() > right[best].mean():
            best = way
    return best
