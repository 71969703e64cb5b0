"""A batch of residuals as they go into messages, encoded for all rows at once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from miwake.indexer.answers import ReferenceMap
from miwake.inspection.v1 import answer_pb2
from miwake.server.packing import length_delimited, plain_floats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miwake.indexer.answers import ResidualBatch

REFERENCE_MAPS: Mapping[int, answer_pb2.ReferenceMap.ValueType] = {
    ReferenceMap.TEMPLATE: answer_pb2.REFERENCE_MAP_TEMPLATE,
    ReferenceMap.CLASS_MEAN: answer_pb2.REFERENCE_MAP_CLASS_MEAN,
}


def encoded_residuals(batch: ResidualBatch) -> list[bytes]:
    """Return a verdict with nothing but its residuals, serialised, for each query; empty where it has none."""
    fields = answer_pb2.Residuals
    measures = plain_floats(
        {
            fields.BETA_FIELD_NUMBER: batch.beta,
            fields.ETA_FIELD_NUMBER: batch.eta,
            fields.GAMMA_FIELD_NUMBER: batch.gamma,
            fields.L2_FIELD_NUMBER: batch.l2,
            fields.L6_FIELD_NUMBER: batch.l6,
            fields.LARGEST_FIELD_NUMBER: batch.largest,
            fields.STANDARDISED_L2_FIELD_NUMBER: batch.standardised_l2,
            fields.STANDARDISED_L6_FIELD_NUMBER: batch.standardised_l6,
            fields.STANDARDISED_LARGEST_FIELD_NUMBER: batch.standardised_largest,
        }
    )
    compared = zip(batch.reference.tolist(), batch.shift_rows.tolist(), batch.shift_columns.tolist(), strict=True)
    return [
        length_delimited(answer_pb2.Verdict.RESIDUALS_FIELD_NUMBER, _with_what(*one) + measured) if one[0] else b""
        for one, measured in zip(compared, measures, strict=True)
    ]


@lru_cache(maxsize=1024)
def _with_what(reference: int, shift_rows: int, shift_columns: int) -> bytes:
    """Return residuals with nothing but the map that was compared with, serialised: there are few combinations."""
    return answer_pb2.Residuals(
        reference=REFERENCE_MAPS[reference], shift_rows=shift_rows, shift_columns=shift_columns
    ).SerializeToString()
