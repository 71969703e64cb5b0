"""What maps are compared with: templates that came beside them, or the mean maps of the passes."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import ReferenceMap, ResidualBatch
from miwake.indexer.records import has_template
from miwake.indexer.residuals.comparing import compare
from miwake.indexer.search.rows import to_unit_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray


def against_templates(
    vectors: NDArray[np.float32],
    templates: NDArray[np.float32],
    shape: tuple[int, int],
    value_range: tuple[float, float],
) -> ResidualBatch:
    """Return how (Q, V) float32 inspection vectors differ from the (Q, V) templates beside them.

    Parameters
    ----------
    templates : (Q, V) float32
        A row whose first value is NaN is none.
    shape : (rows, columns)
    value_range : (low, high)
        What becomes 0 and 1.
    """
    is_there = has_template(templates)
    rows = np.where(is_there, np.cumsum(is_there) - 1, -1)
    given = templates if is_there.all() else templates[is_there]
    return compare(
        to_unit_scale(vectors, value_range), to_unit_scale(given, value_range), rows, shape, ReferenceMap.TEMPLATE
    )


def against_means(
    vectors: NDArray[np.float32],
    means: NDArray[np.float32],
    shape: tuple[int, int],
    value_range: tuple[float, float],
) -> ResidualBatch:
    """Return how (Q, V) float32 inspection vectors differ from that of (R, V) mean maps which they are most like.

    That is the one with the least standardised L2 residual; with none, nothing is compared.
    """
    maps, references = to_unit_scale(vectors, value_range), to_unit_scale(means, value_range)
    n_queries, n_means = len(maps), max(len(references), 1)
    found = [
        compare(maps, references, np.full(n_queries, row if len(references) else -1), shape, ReferenceMap.CLASS_MEAN)
        for row in range(n_means)
    ]
    if len(found) == 1:
        return found[0]
    best = np.stack([one.standardised_l2 for one in found]).argmin(axis=0)
    queries = np.arange(n_queries)
    return ResidualBatch(
        **{
            one.name: np.stack([getattr(batch, one.name) for batch in found])[best, queries]
            for one in fields(ResidualBatch)
        }
    )
