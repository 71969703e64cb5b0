"""From pairs of vectors to jobs, and from what the index found to messages: 1:1 verification."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from miwake.indexer.scale import Refusal
from miwake.inspection.v1 import answer_pb2, verification_pb2
from miwake.server import wire
from miwake.server.compute import FAULTS
from miwake.server.errors import RequestError
from miwake.server.jobs import ItemFailure, Items, Job, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.answers import PairBatch
    from miwake.indexer.verdict.pairs import PairThreshold
    from miwake.inspection.v1 import vector_pb2
    from miwake.server.index import Index
    from miwake.server.intake import Limits
    from miwake.server.jobs import Answered, Delivery

DISTANCES: Mapping[str, verification_pb2.PairDistance.ValueType] = {
    "match": verification_pb2.PAIR_DISTANCE_MATCH,
    "euclidean": verification_pb2.PAIR_DISTANCE_EUCLIDEAN,
    "cosine": verification_pb2.PAIR_DISTANCE_COSINE,
}

QUERY, REFERENCE = verification_pb2.PAIR_MEMBER_QUERY, verification_pb2.PAIR_MEMBER_REFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifying:
    """A request to verify pairs.

    Attributes
    ----------
    jobs : sequence of Job
        Each vector of theirs is a query and its reference, one behind the other.
    threshold : PairThreshold
        What decides.
    members : mapping of sequence to PairMember
        Which vector is to blame, of the pairs that cannot be compared.
    """

    jobs: Sequence[Job]
    threshold: PairThreshold
    members: Mapping[int, verification_pb2.PairMember.ValueType]


def verify_jobs(request: verification_pb2.VerifyRequest, index: Index, limits: Limits) -> Verifying:
    """Return the jobs that compare a request's pairs, at least one, all of them by the same index.

    Raises
    ------
    RequestError
        If the request asks for more than the limits allow, or for a rate that is none.
    PairsNotCalibratedError, RateNotShownError
        If the index cannot verify, or not at that rate.
    """
    n_pairs = len(request.pairs)
    if 2 * n_pairs > limits.max_vectors:
        problem = f"{n_pairs} in one message, expected at most {limits.max_vectors // 2}"
        raise RequestError(field="pairs", problem=problem)
    threshold = index.pairs.threshold(_rate_of(request))
    together = limits.max_batch
    members: dict[int, verification_pb2.PairMember.ValueType] = {}
    context = wire.read_context(request)
    jobs = [
        Job(
            index=index,
            task=Task.VERIFY,
            n_neighbours=0,
            items=_read_pairs(request.pairs[start : start + together], index, context, start, members),
        )
        for start in range(0, max(n_pairs, 1), together)
    ]
    return Verifying(jobs=jobs, threshold=threshold, members=members)


def verify_response(deliveries: Sequence[Delivery], asked: Verifying) -> verification_pb2.VerifyResponse:
    """Return the answer to a request, from all deliveries of it."""
    response = verification_pb2.VerifyResponse(provenance=wire.provenance(deliveries))
    pairs = deliveries[0].index.pairs
    threshold = asked.threshold
    response.threshold.distance = DISTANCES[pairs.distance]
    response.threshold.at_most = threshold.at_most
    if threshold.max_false_accept_rate is not None:
        response.threshold.max_false_accept_rate = threshold.max_false_accept_rate
    response.threshold.false_accept_rate = threshold.false_accept_rate
    response.threshold.false_reject_rate = threshold.false_reject_rate
    response.threshold.n_impostor_pairs = pairs.n_impostor
    response.threshold.n_genuine_pairs = pairs.n_genuine
    response.threshold.n_parts = pairs.n_parts
    for delivery in deliveries:
        for answered in delivery.answered:
            _add_answers(response, answered, asked)
    return response


def _rate_of(request: verification_pb2.VerifyRequest) -> float | None:
    if not request.HasField("max_false_accept_rate"):
        return None
    rate = request.max_false_accept_rate
    if not (math.isfinite(rate) and 0 < rate <= 1):
        raise RequestError(field="max_false_accept_rate", problem=f"{rate:g}, expected more than 0 and at most 1")
    return rate


def _read_pairs(
    pairs: Sequence[verification_pb2.VectorPair],
    index: Index,
    context: bytes | None,
    first: int,
    members: dict[int, verification_pb2.PairMember.ValueType],
) -> Items:
    queries, refused = _read([pair.query for pair in pairs], index, context, first)
    references, also_refused = _read([pair.reference for pair in pairs], index, None, first)
    failures = {place: ItemFailure(one.fault, f"reference: {one.message}") for place, one in also_refused.items()}
    failures |= {place: ItemFailure(one.fault, f"query: {one.message}") for place, one in refused.items()}
    members |= dict.fromkeys((first + place for place in also_refused), REFERENCE)
    members |= dict.fromkeys((first + place for place in refused), QUERY)
    good = [place for place in range(len(pairs)) if place not in failures]
    both = [_at(queries, good), _at(references, good)]
    return Items(
        first_sequence=first,
        ids=[pair.id for pair in pairs],
        contexts=queries.contexts,
        failures=failures,
        vectors=np.concatenate(both, axis=1),
    )


def _read(
    vectors: Sequence[vector_pb2.InspectionVector], index: Index, context: bytes | None, first: int
) -> tuple[Items, dict[int, ItemFailure]]:
    """Return vectors, and why each that cannot be compared is refused, by its place among them."""
    scale = index.scale
    items = wire.read_items(vectors, context=context, n_values=scale.n_values, first_sequence=first)
    failures = dict(items.failures)
    if len(items.vectors):
        places = [place for place in range(len(vectors)) if place not in items.failures]
        codes = scale.refusals(items.vectors).tolist()
        for place, code, vector in zip(places, codes, items.vectors, strict=True):
            if code != Refusal.NONE:
                failures[place] = ItemFailure(FAULTS[code], scale.explain(code, vector))
    return items, failures


def _at(items: Items, good: Sequence[int]) -> NDArray[np.float32]:
    """Return the vectors at some places, all of which could be read."""
    read = [place for place in range(len(items)) if place not in items.failures]
    return items.vectors[np.searchsorted(read, good).astype(np.intp)]


def _add_answers(response: verification_pb2.VerifyResponse, answered: Answered, asked: Verifying) -> None:
    items = answered.items
    compared = (
        (cast("PairBatch", part.results.batch), row) for part in answered.slices for row in range(part.start, part.stop)
    )
    for place, (id_, context) in enumerate(zip(items.ids, items.contexts, strict=True)):
        sequence = items.first_sequence + place
        answer = response.answers.add(id=id_, sequence=sequence)
        if context is not None:
            answer.context.MergeFromString(context)
        failure = answered.failures.get(place)
        if failure is None:
            _write(answer.verification, *next(compared), at_most=asked.threshold.at_most)
        else:
            answer.error.CopyFrom(answer_pb2.ItemError(reason=wire.REASONS[failure.fault], message=failure.message))
            answer.error_member = asked.members.get(sequence, verification_pb2.PAIR_MEMBER_UNSPECIFIED)


def _write(message: verification_pb2.Verification, batch: PairBatch, row: int, *, at_most: float) -> None:
    message.is_same = bool(batch.deciding[row] <= at_most)
    message.probability = batch.probabilities[row]
    message.beta, message.eta, message.gamma = batch.beta[row], batch.eta[row], batch.gamma[row]
    message.match_distance = batch.match_distances[row]
    message.distance = batch.distances[row]
    message.cosine_distance = batch.cosine_distances[row]
