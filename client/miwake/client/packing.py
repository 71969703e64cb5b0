"""Requests, for both clients: what the caller asks for as messages, refused here where it cannot be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.client.errors import InvalidQueryError
from miwake.client.packed_vectors import pack_batch, pack_context
from miwake.client.vector_calls import VectorsRequest
from miwake.client.wishes import pack_evidence, pack_filter, pack_options
from miwake.inspection.v1 import inspection_service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.client.filters import Filter
    from miwake.client.flow import Batch
    from miwake.client.inspections import InspectionContext, Templates, Vectors
    from miwake.client.options import Evidence, SearchOptions

MAX_NEIGHBOURS = 2**32 - 1
"""What the field can hold; the server has a lower limit of its own."""


def checked_n_neighbours(n_neighbours: int | None) -> int | None:
    """Return the number of neighbours asked for, None for the server's default.

    Raises
    ------
    InvalidQueryError
        If it is no integer of at least 1.
    """
    if n_neighbours is None:
        return None
    if isinstance(n_neighbours, bool) or not isinstance(n_neighbours, (int, np.integer)) or n_neighbours < 1:
        message = f"n_neighbours {n_neighbours!r}, expected an integer of at least 1"
        raise InvalidQueryError(message)
    return min(int(n_neighbours), MAX_NEIGHBOURS)


def classify_request(
    vectors: Vectors,
    *,
    templates: Templates | None = None,
    station: str,
    ids: Sequence[str] | None,
    context: InspectionContext | None,
    n_neighbours: int | None,
    evidence: Evidence | None = None,
) -> VectorsRequest:
    """Return the request for a batch of verdicts; errors as ``pack_batch``."""
    packed = pack_batch(vectors, ids, templates)
    request = inspection_service_pb2.ClassifyRequest(
        station=station,
        context=None if context is None else pack_context(context),
        options=pack_evidence(checked_n_neighbours(n_neighbours), evidence),
    )
    return VectorsRequest(request, packed)


def search_request(
    vectors: Vectors,
    *,
    station: str,
    ids: Sequence[str] | None,
    context: InspectionContext | None,
    n_neighbours: int | None,
    where: Filter | None = None,
    options: SearchOptions | None = None,
) -> VectorsRequest:
    """Return the request for the neighbours of a batch; errors as ``pack_batch`` and ``pack_filter``."""
    packed = pack_batch(vectors, ids, with_templates=False)
    request = inspection_service_pb2.SearchNeighboursRequest(
        station=station,
        context=None if context is None else pack_context(context),
        n_neighbours=checked_n_neighbours(n_neighbours),
        where=None if where is None else pack_filter(where),
        options=None if options is None else pack_options(options),
        as_arrays=True,
    )
    return VectorsRequest(request, packed)


def inspect_header(
    *,
    station: str,
    context: InspectionContext | None,
    n_neighbours: int | None,
    evidence: Evidence | None = None,
    generation: str | None = None,
) -> inspection_service_pb2.InspectRequest:
    """Return a request of a stream without its vectors: what all its messages have in common, and its generation.

    Raises
    ------
    InvalidQueryError
        If the context, the number of neighbours or the generation cannot be sent.
    """
    if not isinstance(generation, str | None):
        message = f"generation {generation!r}, expected text such as 'g000001'"
        raise InvalidQueryError(message)
    return inspection_service_pb2.InspectRequest(
        station=station,
        context=None if context is None else pack_context(context),
        options=pack_evidence(checked_n_neighbours(n_neighbours), evidence),
        generation=generation or "",
    )


def inspect_request(header: inspection_service_pb2.InspectRequest, batch: Batch, *, stream_id: str) -> VectorsRequest:
    """Return a message of a stream; the stream can be taken up again if it has an id."""
    request = inspection_service_pb2.InspectRequest(
        station=header.station,
        context=header.context if header.HasField("context") else None,
        options=header.options,
        generation=header.generation if batch.is_first else "",
        stream_id=stream_id if batch.is_first else "",
        first_sequence=batch.first_sequence if stream_id else None,
        n_received=batch.n_received if stream_id else None,
    )
    return VectorsRequest(request, batch.vectors)
