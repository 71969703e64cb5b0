"""Between the reference service's messages and records; the only place that touches these messages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf import timestamp_pb2

from miwake.indexer.records import Records
from miwake.inspection.v1 import reference_service_pb2 as messages
from miwake.server import wire
from miwake.server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.storage.changes import Change
    from miwake.indexer.storage.reading import HistoryEntry, Snapshot
    from miwake.indexer.storage.schema import StationSchema

LARGEST_PAGE = 1_000
DEFAULT_PAGE = 100
DEFAULT_SOURCE = "gRPC"
"""What stands for the source of references whose caller names none."""


def read_records(request: messages.AddReferencesRequest, schema: StationSchema, *, max_vectors: int) -> Records:
    """Return the references of a request as records.

    Raises
    ------
    RequestError
        If there are too many, a label is missing, or a vector or its template cannot be read; the field names which.
    """
    references = request.references
    if not 1 <= len(references) <= max_vectors:
        raise RequestError(field="references", problem=f"{len(references)}, expected 1 … {max_vectors}")
    for position, one in enumerate(references):
        if not one.HasField("label"):
            raise RequestError(field=f"references[{position}].label", problem="not set, expected a class code")
    vectors = [one.vector for one in references]
    items = wire.read_items(vectors, context=None, n_values=schema.n_values, first_sequence=0, with_templates=True)
    if items.failures:
        position = min(items.failures)
        raise RequestError(field=f"references[{position}].vector", problem=items.failures[position].message)
    return Records(
        vectors=np.ascontiguousarray(items.vectors),
        labels=np.array([one.label for one in references], dtype=np.int32),
        failure_modes=tuple(one.failure_mode for one in references),
        ids=tuple(vector.id for vector in vectors),
        parts=tuple(vector.context.part_id for vector in vectors),
        groups=tuple(one.group for one in references),
        splits=("",) * len(references),
        times=tuple(_time_of(vector.context.inspected_at) for vector in vectors),
        source=request.source or DEFAULT_SOURCE,
        heat_map_shape=schema.heat_map_shape,
        pass_labels=schema.pass_labels,
        templates=items.templates,
    )


def read_page_size(request: messages.ListReferencesRequest) -> int:
    """Return how many references a page is to hold.

    Raises
    ------
    RequestError
        If that is too many.
    """
    if request.page_size > LARGEST_PAGE:
        raise RequestError(field="page_size", problem=f"{request.page_size}, expected at most {LARGEST_PAGE}")
    return request.page_size or DEFAULT_PAGE


def read_page_token(text: str) -> tuple[int, int]:
    """Return the revision and the place that a page token means.

    Raises
    ------
    RequestError
        If it is none that was given out.
    """
    found = re.fullmatch(r"([0-9]{1,18}):([0-9]{1,18})", text)
    if found is None:
        raise RequestError(field="page_token", problem="not one that was given out")
    return int(found[1]), int(found[2])


def page_token(revision: int, after: int | None) -> str:
    """Return the token of the page behind a place; empty where there is none."""
    return "" if after is None else f"{revision}:{after}"


def references(snapshot: Snapshot) -> list[messages.Reference]:
    """Return what is known about references, their vectors apart."""
    return [
        messages.Reference(
            id=snapshot.ids[row],
            label=int(snapshot.labels[row]),
            failure_mode=snapshot.failure_modes[row],
            part=snapshot.parts[row],
            group=snapshot.groups[row],
            source=snapshot.sources[row],
            inspected_at=_timestamp(snapshot.times[row]),
        )
        for row in range(len(snapshot))
    ]


def packed_values(values: NDArray[np.float32]) -> bytes:
    """Return a vector (V,) or a template as bytes; empty where it is all NaN, a template that is not there."""
    return b"" if np.isnan(values[0]) else values.astype("<f4").tobytes()


def events(history: Sequence[HistoryEntry]) -> list[messages.ReferenceEvent]:
    """Return what happened to a reference."""
    return [
        messages.ReferenceEvent(
            revision=entry.revision,
            at=_timestamp(entry.at),
            actor=entry.actor,
            verb=entry.verb,
            from_label=entry.from_label,
            to_label=entry.to_label,
            from_failure_mode=entry.from_failure_mode or "",
            to_failure_mode=entry.to_failure_mode or "",
        )
        for entry in history
    ]


def reference_change(change: Change, *, is_searched: bool) -> messages.ReferenceChange:
    """Return what a change did."""
    return messages.ReferenceChange(
        revision=change.revision,
        n_added=change.n_added,
        n_relabelled=change.n_relabelled,
        n_removed=change.n_removed,
        n_unchanged=change.n_unchanged,
        is_searched=is_searched,
    )


def _time_of(timestamp: timestamp_pb2.Timestamp) -> str:
    """Return a time as records write it; the empty text where none is set."""
    if not (timestamp.seconds or timestamp.nanos):
        return ""
    try:
        found = timestamp.ToDatetime(tzinfo=UTC)
    except ValueError as error:
        raise RequestError(field="references.vector.context.inspected_at", problem=str(error)) from error
    return found.isoformat().replace("+00:00", "Z")


def _timestamp(text: str) -> timestamp_pb2.Timestamp | None:
    """Return a time of a record as a message; None where it is not known."""
    if not text:
        return None
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromDatetime(datetime.fromisoformat(text))
    return timestamp
