"""Keeping Python's collector of cyclic garbage out of the answers' way."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 10_000
"""More objects than that since the last look are looked through; Python's own 700 are a fifth of a batch's."""


def settle() -> None:
    """Let the collector look at nothing any more that is there now: modules, indexes and settings stay for good.

    A look through all of them stops every thread for a tenth of a second, and comes once in ten thousand vectors.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
