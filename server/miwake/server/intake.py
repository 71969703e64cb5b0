"""From a request to jobs: which station, how many neighbours, within which limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from miwake.indexer.index import DEFAULT_NEIGHBOURS
from miwake.server import wire
from miwake.server.errors import RequestError
from miwake.server.jobs import Items, Job, Task
from miwake.server.wishes import answer_wishes, search_wishes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.server.index import Index
    from miwake.server.jobs import Wishes

VALUES_TOGETHER = 2**29
"""Values of references that one batch is compared with at most, but for a lone vector: some tenths of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one caller may ask for.

    Attributes
    ----------
    max_batch : int
        Vectors computed together.
    max_neighbours : int
        K.
    max_vectors : int
        Vectors in one message.
    max_streams : int
        Open ``Inspect`` streams, all callers together.
    stream_window : int
        Vectors of one stream that are accepted and not answered yet; then nothing more is read from it. As many answers
        are kept for a stream that may be taken up again.
    resume_s : float
        How long a stream without a call is remembered, in seconds.
    parked_bytes : int
        How much may be kept for such streams together.
    """

    max_batch: int
    max_neighbours: int
    max_vectors: int
    max_streams: int
    stream_window: int
    resume_s: float = 60.0
    parked_bytes: int = 256 * 1024 * 1024


def verdict_jobs(
    request: inspection_service_pb2.InspectRequest | inspection_service_pb2.ClassifyRequest,
    index: Index,
    limits: Limits,
    *,
    first_sequence: int = 0,
    n_passed_over: int = 0,
    is_recording: bool = False,
) -> list[Job]:
    """Return the jobs that judge a request's vectors, at least one, all of them by the same index.

    Parameters
    ----------
    first_sequence : int
        That of the first vector which is not passed over.
    n_passed_over : int
        Leave out so many of the first vectors.
    is_recording : bool
        Whether there is a verdict log that answers could wait for.

    Raises
    ------
    RequestError
        If the request asks for more than the limits allow.
    """
    if request.options.await_record and not is_recording:
        raise RequestError(field="options.await_record", problem="true, and this server keeps no verdict log")
    n_neighbours = _n_neighbours(wire.read_n_neighbours(request.options), "options.n_neighbours", limits)
    wanted = answer_wishes(request.options)
    n_shown = 0 if wanted.omit_neighbours else n_neighbours
    within_s = wire.read_answer_within(request.options)
    if within_s is not None and within_s <= 0:
        raise RequestError(field="options.answer_within", problem=f"{within_s:g} s, expected more than 0")
    jobs = _jobs(
        request,
        index,
        limits,
        Task.CLASSIFY,
        n_shown,
        wanted,
        as_arrays=request.options.as_arrays,
        first_sequence=first_sequence,
        start=n_passed_over,
    )
    return jobs if within_s is None else [replace(job, expires_at=job.queued_at + within_s) for job in jobs]


def search_jobs(request: inspection_service_pb2.SearchNeighboursRequest, index: Index, limits: Limits) -> list[Job]:
    """Return the jobs that find the neighbours of a request's vectors; as ``verdict_jobs``."""
    n_neighbours = _n_neighbours(wire.read_n_neighbours(request), "n_neighbours", limits)
    wanted = search_wishes(request)
    return _jobs(request, index, limits, Task.SEARCH, n_neighbours, wanted, as_arrays=request.as_arrays)


def array_jobs(
    vectors: NDArray[np.float32],
    templates: NDArray[np.float32] | None,
    index: Index,
    limits: Limits,
    n_neighbours: int | None,
) -> list[Job]:
    """Return the jobs that judge (Q, V) float32 vectors, numbered from 0; as ``verdict_jobs``.

    Of templates, (Q, V) float32, a row is all NaN where a vector brings none.
    """
    wanted = _n_neighbours(n_neighbours, "n_neighbours", limits)
    jobs = []
    for start in range(0, len(vectors), limits.max_batch):
        chunk = vectors[start : start + limits.max_batch]
        items = Items(
            first_sequence=start,
            ids=("",) * len(chunk),
            contexts=(None,) * len(chunk),
            failures={},
            vectors=chunk,
            templates=None if templates is None else templates[start : start + limits.max_batch],
        )
        jobs.append(Job(index=index, task=Task.CLASSIFY, n_neighbours=wanted, items=items))
    return jobs


def _n_neighbours(wanted: int | None, field: str, limits: Limits) -> int:
    if wanted is None:
        return min(DEFAULT_NEIGHBOURS, limits.max_neighbours)
    if not 1 <= wanted <= limits.max_neighbours:
        raise RequestError(field=field, problem=f"{wanted}, expected 1 … {limits.max_neighbours}")
    return wanted


def _jobs(
    request: inspection_service_pb2.InspectRequest
    | inspection_service_pb2.ClassifyRequest
    | inspection_service_pb2.SearchNeighboursRequest,
    index: Index,
    limits: Limits,
    task: Task,
    n_neighbours: int,
    wanted: Wishes,
    *,
    as_arrays: bool,
    first_sequence: int = 0,
    start: int = 0,
) -> list[Job]:
    n_vectors = len(request.vectors)
    if n_vectors > limits.max_vectors:
        raise RequestError(
            field="vectors", problem=f"{n_vectors} in one message, expected at most {limits.max_vectors}"
        )
    context = wire.read_context(request)
    n_together = _n_together(index, limits, wanted)
    return [
        Job(
            index=index,
            task=task,
            n_neighbours=n_neighbours,
            wishes=wanted,
            items=wire.read_items(
                request.vectors[begin : begin + n_together],
                context=context,
                n_values=index.scale.n_values,
                first_sequence=first_sequence + begin - start,
                with_templates=task is Task.CLASSIFY,
                as_arrays=as_arrays,
            ),
        )
        for begin in range(start, max(n_vectors, start + 1), n_together)
    ]


def _n_together(index: Index, limits: Limits, wanted: Wishes) -> int:
    """Return how many vectors are computed together: few where each is compared with very many references."""
    if not wanted.compares_many:
        return limits.max_batch
    n_values = index.scale.n_values * max(index.n_matching(wanted.where), 1)
    return max(1, min(limits.max_batch, VALUES_TOGETHER // n_values))
