"""An inspection service in memory, behind a real gRPC server on the loopback: what the clients are tested against.

It answers by brute force over a few references, and can be told to hold answers back, to drain, to fail, or to break
the contract.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import grpc
import numpy as np

from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, verification_pb2
from miwake.inspection.v1.inspection_service_pb2_grpc import (
    InspectionServiceServicer,
    add_InspectionServiceServicer_to_server,
)
from support.plain_arrays import in_arrays, plain_neighbour_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from miwake.inspection.v1 import vector_pb2

N_VALUES = 12
STATION = "bench"
PATIENCE_S = 30.0
"""Longest wait for a test to open a gate: a test that would hang fails instead."""

DTYPES = {0: "<f4", 1: "<f4", 2: "u1", 3: "<f2"}


@dataclass(frozen=True)
class Failure:
    """What a call is ended with."""

    code: grpc.StatusCode
    message: str = ""
    trailers: tuple[tuple[str, str | bytes], ...] = ()


def references() -> NDArray[np.float32]:
    """Return six references of three classes, (6, 12) float32."""
    return np.random.default_rng(7).uniform(0, 255, (6, N_VALUES)).astype(np.float32)


def queries(n_queries: int) -> NDArray[np.float32]:
    """Return vectors near the references in turn, (n_queries, 12) float32."""
    noise = np.random.default_rng(8).uniform(-5, 5, (n_queries, N_VALUES)).astype(np.float32)
    return np.asarray(references()[np.arange(n_queries) % 6] + noise, dtype=np.float32)


def unchanged(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
    """Return what came: the contract is kept."""
    return answers


@dataclass
class InMemoryService(InspectionServiceServicer):
    """Answers with the nearest references; the switches are set before a call is made.

    Attributes
    ----------
    gate : Event
        Streams answer only while it is set.
    message_sizes : list of int
        Vectors in each message of the streams so far.
    n_received : int
        Vectors received in streams so far.
    ended : Event
        Set when a stream has ended, for whatever reason.
    drain_after : int or None
        A stream says that the server stops when so many vectors have been accepted.
    failure : Failure or None
        Ends every call.
    tamper : function of the answers of one message
        Breaks the contract.
    ends_early : bool
        Streams end, as if all were well, after the first message.
    never_ends : bool
        Streams do not end when the client has sent everything.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    message_sizes: list[int] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    drain_after: int | None = None
    failure: Failure | None = None
    tamper: Callable[[Sequence[answer_pb2.Answer]], Sequence[answer_pb2.Answer]] = unchanged
    has_provenance: bool = True
    ends_early: bool = False
    never_ends: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    def Classify(  # noqa: N802 - named by the contract
        self, request: inspection_service_pb2.ClassifyRequest, context: grpc.ServicerContext
    ) -> inspection_service_pb2.ClassifyResponse:
        self._fail(context)
        answers, arrays = in_arrays(self.tamper(self._answers(request.vectors, 0, request.options.n_neighbours)))
        return inspection_service_pb2.ClassifyResponse(
            answers=answers, provenance=self._provenance(len(answers)), arrays=arrays
        )

    def SearchNeighbours(  # noqa: N802
        self, request: inspection_service_pb2.SearchNeighboursRequest, context: grpc.ServicerContext
    ) -> inspection_service_pb2.SearchNeighboursResponse:
        self._fail(context)
        answers = [
            inspection_service_pb2.NeighboursAnswer(
                id=answer.id,
                sequence=answer.sequence,
                context=answer.context if answer.HasField("context") else None,
                neighbours=answer.verdict.neighbours if answer.HasField("verdict") else None,
                error=answer.error if answer.HasField("error") else None,
            )
            for answer in self._answers(request.vectors, 0, request.n_neighbours)
        ]
        arrays = plain_neighbour_arrays([answer.neighbours for answer in answers if answer.HasField("neighbours")])
        rows = count()
        for answer in answers:
            if answer.HasField("neighbours"):
                answer.neighbours.CopyFrom(answer_pb2.Neighbours(row=next(rows)))
        return inspection_service_pb2.SearchNeighboursResponse(
            answers=answers, provenance=self._provenance(len(answers)), arrays=arrays
        )

    def Verify(  # noqa: N802
        self, request: verification_pb2.VerifyRequest, context: grpc.ServicerContext
    ) -> verification_pb2.VerifyResponse:
        self._fail(context)
        return verification_pb2.VerifyResponse(
            answers=[pair_answer(pair, sequence) for sequence, pair in enumerate(request.pairs)],
            provenance=self._provenance(len(request.pairs)),
            threshold=verification_pb2.VerificationThreshold(
                distance=verification_pb2.PAIR_DISTANCE_EUCLIDEAN,
                at_most=1.5,
                max_false_accept_rate=request.max_false_accept_rate or None,
                false_accept_rate=0.01,
                false_reject_rate=0.25,
                n_impostor_pairs=200,
                n_genuine_pairs=100,
                n_parts=40,
            ),
        )

    def Inspect(  # noqa: N802
        self, request_iterator: Iterator[inspection_service_pb2.InspectRequest], context: grpc.ServicerContext
    ) -> Iterator[inspection_service_pb2.InspectResponse]:
        over = threading.Event()

        def end() -> None:
            for event in (over, self.gate, self.ended):
                event.set()

        context.add_callback(end)
        self._fail(context)
        n_accepted = 0
        for request in request_iterator:
            self.message_sizes.append(len(request.vectors))
            self.gate.wait(PATIENCE_S)
            left = None if self.drain_after is None else self.drain_after - n_accepted
            vectors = request.vectors[:left]
            is_draining = left is not None and len(request.vectors) >= left
            if is_draining:
                draining = inspection_service_pb2.Draining(n_accepted=n_accepted + len(vectors))
                yield inspection_service_pb2.InspectResponse(draining=draining)
            wanted = request.options.n_neighbours
            answers, arrays = in_arrays(self.tamper(self._answers(vectors, n_accepted, wanted)))
            n_accepted += len(vectors)
            yield inspection_service_pb2.InspectResponse(
                answers=answers, provenance=self._provenance(len(vectors)), arrays=arrays
            )
            if is_draining or self.ends_early:
                return
        if self.never_ends:
            over.wait(PATIENCE_S)

    @property
    def n_received(self) -> int:
        return sum(self.message_sizes)

    def _fail(self, context: grpc.ServicerContext) -> None:
        if self.failure is not None:
            context.set_trailing_metadata(self.failure.trailers)
            context.abort(self.failure.code, self.failure.message)

    def _provenance(self, batch_size: int) -> answer_pb2.Provenance | None:
        if not self.has_provenance:
            return None
        return answer_pb2.Provenance(
            station=STATION,
            embedder="identity",
            generation="g000001",
            revision=6,
            threshold_set="t1",
            queue_ms=0.25,
            compute_ms=0.5,
            batch_size=batch_size,
        )

    def _answers(
        self, vectors: Sequence[vector_pb2.InspectionVector], first: int, n_neighbours: int
    ) -> list[answer_pb2.Answer]:
        answers = []
        for sequence, vector in enumerate(vectors, start=first):
            answer = answer_pb2.Answer(id=vector.id, sequence=sequence)
            if vector.HasField("context"):
                answer.context.CopyFrom(vector.context)
            values = np.frombuffer(vector.packed, dtype=DTYPES[vector.data_type]).astype(np.float32)
            if len(values) != N_VALUES:
                answer.error.reason = answer_pb2.ITEM_ERROR_REASON_WRONG_LENGTH
                answer.error.message = f"{len(values)} values, expected {N_VALUES}"
            elif not np.isfinite(values).all():
                answer.error.reason = answer_pb2.ITEM_ERROR_REASON_NON_FINITE
                answer.error.message = "values that are not finite"
            else:
                answer.verdict.CopyFrom(verdict(values, n_neighbours or 5))
            answers.append(answer)
        return answers


def pair_answer(pair: verification_pb2.VectorPair, sequence: int) -> verification_pb2.PairAnswer:
    """Return the answer to one pair: the same where the distance is at most 1.5; a query that is not finite is bad."""
    answer = verification_pb2.PairAnswer(id=pair.id, sequence=sequence)
    if pair.query.HasField("context"):
        answer.context.CopyFrom(pair.query.context)
    query, reference = (
        np.frombuffer(vector.packed, dtype=DTYPES[vector.data_type]).astype(np.float32)
        for vector in (pair.query, pair.reference)
    )
    if not np.isfinite(query).all():
        answer.error.reason = answer_pb2.ITEM_ERROR_REASON_NON_FINITE
        answer.error.message = "query: values that are not finite"
        answer.error_member = verification_pb2.PAIR_MEMBER_QUERY
        return answer
    distance = float(np.linalg.norm(query - reference))
    answer.verification.is_same = distance <= 1.5
    answer.verification.probability = 0.75
    answer.verification.beta = float(query @ reference / (reference @ reference))
    answer.verification.eta, answer.verification.gamma = 0.5, 0.25
    answer.verification.match_distance, answer.verification.distance = 0.125, distance
    answer.verification.cosine_distance = 0.0625
    return answer


def verdict(query: NDArray[np.float32], n_neighbours: int) -> answer_pb2.Verdict:
    """Return the verdict on one vector: class = row of the nearest reference modulo 3, where 0 is the pass label."""
    stored = references()
    distances = np.linalg.norm(stored - query, axis=1)
    order = np.argsort(distances)[:n_neighbours]
    betas = (stored @ query / (stored * stored).sum(axis=1))[order]
    label = int(order[0] % 3)
    return answer_pb2.Verdict(
        label=label,
        failure_mode=f"mode {label}",
        decision=answer_pb2.DECISION_PASS if label == 0 else answer_pb2.DECISION_REJECT,
        probability=0.75,
        reject_probability=0.0 if label == 0 else 0.875,
        margin=0.5,
        novelty=float(distances[order].mean()),
        method=answer_pb2.LABEL_METHOD_VOTE,
        method_labels=[
            answer_pb2.MethodLabel(method=answer_pb2.LABEL_METHOD_NEAREST_ANCHOR, label=label),
            answer_pb2.MethodLabel(method=answer_pb2.LABEL_METHOD_VOTE, label=label),
        ],
        anchors=answer_pb2.AnchorDistances(labels=[label, 1 + label], distances=[1.5, 2.5]),
        neighbours=answer_pb2.Neighbours(
            reference_ids=[f"reference {row}" for row in order],
            labels=[int(row % 3) for row in order],
            failure_modes=[f"mode {row % 3}" for row in order],
            distances=distances[order],
            betas=betas,
            etas=np.log1p(distances[order]),
            gammas=np.zeros(len(order)),
            match_distances=1 - 1 / (1 + distances[order]),
        ),
    )


@contextmanager
def serving(service: InMemoryService) -> Iterator[str]:
    """Yield the address of a server of its own for a service."""
    # More workers than any test has calls at once: a stream holds its worker until it ends.
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    add_InspectionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        service.gate.set()
        server.stop(None).wait()
