"""The rpcs of ``miwake.inspection.v1.InspectionService``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from miwake.inspection.v1 import inspection_service_pb2_grpc
from miwake.server import wire
from miwake.server.inspect_call import InspectCall
from miwake.server.intake import search_jobs, verdict_jobs
from miwake.server.verifying import verify_jobs, verify_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from miwake.inspection.v1 import inspection_service_pb2, verification_pb2
    from miwake.server.engine import Engine


class InspectionService(inspection_service_pb2_grpc.InspectionServiceServicer):
    """Judges vectors with the index of their station.

    Every stream takes one thread of the server's pool, which answers, and one of its own, which reads.

    Parameters
    ----------
    engine : Engine
        What answers.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers = ThreadPoolExecutor(engine.limits.max_streams, thread_name_prefix="reader")

    def Inspect(  # noqa: N802 - the contract's name
        self, request_iterator: Iterator[inspection_service_pb2.InspectRequest], context: grpc.ServicerContext
    ) -> Iterator[inspection_service_pb2.InspectResponse]:
        """Judge a stream of vectors."""
        call = InspectCall(self._engine)
        with self._engine.calls.opened(call):
            context.add_callback(call.leave)
            self._readers.submit(call.read, request_iterator)
            yield from call.answers()

    def Classify(  # noqa: N802
        self, request: inspection_service_pb2.ClassifyRequest, context: grpc.ServicerContext
    ) -> inspection_service_pb2.ClassifyResponse:
        """Judge a batch of vectors."""
        with self._engine.calls.opened():
            jobs = verdict_jobs(
                request,
                self._engine.stations.get(request.station).index,
                self._engine.limits,
                is_recording=self._engine.recorder is not None,
            )
            return wire.classify_response(self._engine.calls.answer(jobs, context))

    def SearchNeighbours(  # noqa: N802
        self, request: inspection_service_pb2.SearchNeighboursRequest, context: grpc.ServicerContext
    ) -> inspection_service_pb2.SearchNeighboursResponse:
        """Find the references nearest to each vector of a batch."""
        with self._engine.calls.opened():
            jobs = search_jobs(request, self._engine.stations.get(request.station).index, self._engine.limits)
            return wire.search_response(self._engine.calls.answer(jobs, context))

    def Verify(  # noqa: N802
        self, request: verification_pb2.VerifyRequest, context: grpc.ServicerContext
    ) -> verification_pb2.VerifyResponse:
        """Say of pairs of vectors whether the two are of the same class."""
        with self._engine.calls.opened():
            asked = verify_jobs(request, self._engine.stations.get(request.station).index, self._engine.limits)
            return verify_response(self._engine.calls.answer(asked.jobs, context), asked)

    def close(self) -> None:
        """End the reading threads; every call must have ended."""
        self._readers.shutdown()
