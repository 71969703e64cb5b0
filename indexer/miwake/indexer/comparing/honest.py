"""Which rows two sides can be asked about without either having learnt the answer by heart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.records import vector_hash
from miwake.indexer.scale import template_refusals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.indexer.comparing.sides import Side
    from miwake.indexer.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The rows that both sides can be asked about honestly, and how many cannot.

    Attributes
    ----------
    records : Records
    n_fitted, n_known, n_refused : int
        See ``comparison.Comparison``.
    """

    records: Records
    n_fitted: int
    n_known: int
    n_refused: int


def honest_rows(records: Records, sides: Sequence[Side]) -> Asked:
    """Return the rows that no side has learnt from by heart.

    Rows of parts that are references too stay: their own part is kept from answering for them.

    Raises
    ------
    DataError
        If no row is left.
    """
    hashes = records.row_hashes()
    fitted = {one for side in sides for one in side.index.contents.embedder.card.fit_row_hashes}
    is_fitted = np.array([one in fitted for one in hashes], dtype=np.bool_)
    fitted_parts = {part for part, is_one in zip(records.parts, is_fitted, strict=True) if is_one and part}
    fitted_parts.update(*(side.fitted_parts() for side in sides))
    is_fitted |= np.array([part in fitted_parts for part in records.parts], dtype=np.bool_)
    has_no_part = np.array([not part for part in records.parts], dtype=np.bool_)
    is_known = np.zeros(len(records), dtype=np.bool_)
    if has_no_part.any():
        known = frozenset[bytes]().union(*(side.vector_hashes() for side in sides))
        is_known = has_no_part & np.array([vector_hash(one) in known for one in records.vectors], dtype=np.bool_)
    is_refused = np.zeros(len(records), dtype=np.bool_)
    for side in sides:
        is_refused |= side.index.scale.refusals(records.vectors) != 0
        if records.templates is not None:
            is_refused |= template_refusals(records.templates, side.index.scale) != 0
    keep = ~(is_fitted | is_known | is_refused)
    if not keep.any():
        message = (
            f"{records.source}: none of {len(records)} rows can be asked about: {int(is_fitted.sum())} of parts that "
            f"an embedder was fitted on, {int(is_known.sum())} that are references and name no part, "
            f"{int(is_refused.sum())} that cannot be judged; --replay takes held-out parts"
        )
        raise DataError(message)
    return Asked(
        records=records.take(keep),
        n_fitted=int(is_fitted.sum()),
        n_known=int((is_known & ~is_fitted).sum()),
        n_refused=int((is_refused & ~is_known & ~is_fitted).sum()),
    )
