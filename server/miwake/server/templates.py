"""Templates beside vectors, from messages to arrays: what brings none costs nothing.

A template that cannot be read takes its vector with it: whoever sent one wanted the verdict that regards it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.server.jobs import Fault, ItemFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.inspection.v1 import vector_pb2

    ReadBytes = Callable[[bytes, int], "NDArray[np.generic] | ItemFailure"]


def bad_template(problem: str) -> ItemFailure:
    """Return the failure of an item for its template."""
    return ItemFailure(Fault.BAD_TEMPLATE, f"template: {problem}")


def are_given(vectors: Sequence[vector_pb2.InspectionVector], *, all_packed: bool) -> bool:
    """Return whether any vector brings a template; where the values of all are packed, none is spelt out."""
    return any(one.template for one in vectors) or (not all_packed and any(one.floats.template for one in vectors))


def read_templates(
    vectors: Sequence[vector_pb2.InspectionVector],
    values: NDArray[np.float32],
    failures: Mapping[int, ItemFailure],
    read_bytes: ReadBytes,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[int, ItemFailure]]:
    """Return vectors with their templates, but for those whose template cannot be read.

    Parameters
    ----------
    vectors : n messages
    values : (Q, V) float32
        Those that could be read, in order.
    failures : mapping of position to ItemFailure
        The others.
    read_bytes : function of bytes and a data type
        Returns the values, or why there are none.

    Returns
    -------
    values, templates : (Q, V) float32 both
        A row of NaN where a vector brings no template; no template that came begins with NaN.
    failures : dict
        With those for a template.
    """
    found = dict(failures)
    templates = np.full(values.shape, np.nan, dtype=np.float32)
    rows: list[int] = []
    positions = [position for position in range(len(vectors)) if position not in failures]
    for row, position in enumerate(positions):
        template = _template_of(vectors[position], values.shape[1], read_bytes)
        if isinstance(template, ItemFailure):
            found[position] = template
            continue
        if template is not None:
            templates[len(rows)] = template
        rows.append(row)
    if len(rows) < len(positions):
        values = values[rows]
    return values, templates[: len(rows)], found


def _template_of(
    vector: vector_pb2.InspectionVector, n_values: int, read_bytes: ReadBytes
) -> NDArray[np.generic] | ItemFailure | None:
    """Return a vector's template, None where it brings none."""
    spelt_out = vector.floats.template if vector.HasField("floats") else ()
    if not (vector.template or spelt_out):
        return None
    if vector.template and spelt_out:
        return bad_template("packed and spelt out as floats, expected one of them")
    found = np.array(spelt_out, dtype=np.float32) if spelt_out else read_bytes(vector.template, vector.data_type)
    if isinstance(found, ItemFailure):
        return bad_template(found.message)
    if len(found) != n_values:
        return bad_template(f"{len(found)} values, expected {n_values}")
    if np.isnan(found[0]):
        return bad_template("value 0 is nan, expected finite numbers")
    return found
