"""The asyncio client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

import grpc
import grpc.aio

from miwake.client.aio_stream import AsyncStream, wait_at_most
from miwake.client.answer_streams import AsyncAnswerStream
from miwake.client.channel import (
    DEFAULT_TIMEOUT_S,
    DEFAULT_VECTORS_PER_MESSAGE,
    DEFAULT_WINDOW,
    Connection,
)
from miwake.client.errors import ClosedError, translate_error
from miwake.client.flow_settings import FlowSettings
from miwake.client.packing import classify_request, inspect_header, search_request
from miwake.client.reference_calls import AsyncReferences
from miwake.client.retry import DEFAULT_RETRY, Attempts, Retry
from miwake.client.unpacking import unpack_batch, unpack_search
from miwake.client.vector_calls import VectorCalls
from miwake.client.verifications import unpack_verify, verify_request
from miwake.inspection.v1.reference_service_pb2_grpc import ReferenceServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence
    from types import TracebackType

    from miwake.client.answers import Answer, NeighboursAnswer
    from miwake.client.filters import Filter
    from miwake.client.inspections import Inspection, InspectionContext, Templates, Vector, Vectors
    from miwake.client.options import Evidence, SearchOptions
    from miwake.client.tls import Tls
    from miwake.client.verifications import PairAnswer

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class AsyncClient:
    """Asks a miwake server from asyncio; the same surface as ``Client``. To be made inside a running event loop.

    Parameters and errors are those of ``Client``.

    Examples
    --------
    ::

        async with AsyncClient("127.0.0.1:50051") as client:
            async for answer in client.inspect(camera):
                print(answer.verdict or answer.error)
    """

    def __init__(
        self,
        target: str,
        *,
        station: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: Retry | None = DEFAULT_RETRY,
        tls: Tls | None = None,
        token: str | None = None,
    ) -> None:
        self.target = target
        self.station = station
        self.timeout_s = timeout_s
        self.retry = retry
        connection = Connection.of(target, tls=tls, token=token, retry=retry)
        self._metadata = connection.metadata
        self._channel = connection.open_async()
        self._service = VectorCalls(self._channel)
        self._reference_service = ReferenceServiceStub(self._channel)
        self.references = AsyncReferences(self._call_references, station)
        self._streams: WeakSet[AsyncStream] = WeakSet()
        self._is_closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all streams and the connection. A closed client stays closed."""
        self._is_closed.set()
        for stream in list(self._streams):
            stream.stop()
        await self._channel.close()

    async def classify(
        self,
        vectors: Vectors,
        *,
        templates: Templates | None = None,
        ids: Sequence[str] | None = None,
        context: InspectionContext | None = None,
        n_neighbours: int | None = None,
        evidence: Evidence | None = None,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        """Return the answers to a batch of vectors, in its order: parameters and errors as ``Client.classify``."""
        if not len(vectors):
            return []
        request = classify_request(
            vectors,
            templates=templates,
            station=self.station,
            ids=ids,
            context=context,
            n_neighbours=n_neighbours,
            evidence=evidence,
        )
        response = await self._call(self._calls().classify, request, timeout_s)
        return unpack_batch(response, len(vectors))

    async def search_neighbours(
        self,
        vectors: Vectors,
        *,
        ids: Sequence[str] | None = None,
        context: InspectionContext | None = None,
        n_neighbours: int | None = None,
        where: Filter | None = None,
        options: SearchOptions | None = None,
        timeout_s: float | None = None,
    ) -> list[NeighboursAnswer]:
        """Return the references nearest to each vector: parameters and errors as ``Client.search_neighbours``."""
        if not len(vectors):
            return []
        request = search_request(
            vectors,
            station=self.station,
            ids=ids,
            context=context,
            n_neighbours=n_neighbours,
            where=where,
            options=options,
        )
        response = await self._call(self._calls().search_neighbours, request, timeout_s)
        return unpack_search(response, len(vectors))

    async def verify(
        self,
        queries: Vectors,
        references: Vectors,
        *,
        ids: Sequence[str] | None = None,
        context: InspectionContext | None = None,
        max_false_accept_rate: float | None = None,
        timeout_s: float | None = None,
    ) -> list[PairAnswer]:
        """Return of each query whether it is of its reference's class: parameters and errors as ``Client.verify``."""
        request = verify_request(
            queries,
            references,
            station=self.station,
            ids=ids,
            context=context,
            max_false_accept_rate=max_false_accept_rate,
        )
        if not request.pairs:
            return []
        response = await self._call(self._calls().verify, request, timeout_s)
        return unpack_verify(response, len(request.pairs))

    def inspect(
        self,
        items: Iterable[Vector | Inspection] | AsyncIterable[Vector | Inspection],
        *,
        context: InspectionContext | None = None,
        n_neighbours: int | None = None,
        evidence: Evidence | None = None,
        generation: str | None = None,
        timeout_s: float | None = None,
        window: int = DEFAULT_WINDOW,
        vectors_per_message: int = DEFAULT_VECTORS_PER_MESSAGE,
    ) -> AsyncAnswerStream:
        """Stream vectors to the server and yield their answers in order, while sending.

        Parameters and errors are those of ``Client.inspect``. A plain iterable runs in the event loop, so it must not
        block; an asynchronous one may wait for as long as it likes.
        """
        settings = FlowSettings(
            window=window,
            vectors_per_message=vectors_per_message,
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
            retry=self.retry,
        )
        header = inspect_header(
            station=self.station, context=context, n_neighbours=n_neighbours, evidence=evidence, generation=generation
        )
        stream = AsyncStream(self._calls(), header, items, settings, target=self.target, metadata=self._metadata)
        self._streams.add(stream)
        return AsyncAnswerStream(stream.answers(), stream.flow, stream.recovery)

    async def _call_references(self, name: str, request: Any, *, is_repeatable: bool = True) -> Any:
        self._check_open()
        return await self._call(getattr(self._reference_service, name), request, None, is_repeatable=is_repeatable)

    def _check_open(self) -> None:
        if self._is_closed.is_set():
            raise ClosedError

    def _calls(self) -> VectorCalls:
        self._check_open()
        return self._service

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        timeout_s: float | None,
        *,
        is_repeatable: bool = True,
    ) -> ResponseT:
        attempts = Attempts(self.retry, self.timeout_s if timeout_s is None else timeout_s, is_repeatable=is_repeatable)
        while True:
            try:
                return await method(request, timeout=attempts.left_s(), metadata=self._metadata)
            except grpc.RpcError as error:
                wait_s = attempts.wait_s(translate_error(error, target=self.target), error)
            await wait_at_most(wait_s, self._is_closed)
            self._check_open()
