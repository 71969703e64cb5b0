"""The blocking client."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

import grpc

from miwake.client.channel import (
    CHANNEL_OPTIONS,
    DEFAULT_TIMEOUT_S,
    DEFAULT_VECTORS_PER_MESSAGE,
    DEFAULT_WINDOW,
)
from miwake.client.errors import ClosedError, translate_error
from miwake.client.flow import FlowSettings
from miwake.client.packing import classify_request, inspect_header, search_request
from miwake.client.reference_calls import References
from miwake.client.stream import BlockingStream
from miwake.client.unpacking import unpack_batch, unpack_search
from miwake.inspection.v1.inspection_service_pb2_grpc import InspectionServiceStub
from miwake.inspection.v1.reference_service_pb2_grpc import ReferenceServiceStub

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from types import TracebackType

    from miwake.client.answers import Answer, NeighboursAnswer
    from miwake.client.filters import Filter
    from miwake.client.inspections import Inspection, InspectionContext, Vector, Vectors
    from miwake.client.options import Evidence, SearchOptions

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Client:
    """Asks a miwake server; safe to share between threads.

    Parameters
    ----------
    target : text
        Address of the server, ``host:port``.
    station : text
        The station to ask; may stay empty where the server has one.
    timeout_s : float
        Deadline of each call in seconds; of a stream, the longest wait for its next answer.

    Attributes
    ----------
    references : References
        Adds, shows, relabels and removes what the station compares with.

    Examples
    --------
    ::

        with Client("127.0.0.1:50051") as client:
            for answer in client.inspect(camera):
                print(answer.verdict or answer.error)
    """

    def __init__(self, target: str, *, station: str = "", timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.target = target
        self.station = station
        self.timeout_s = timeout_s
        self._channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._service = InspectionServiceStub(self._channel)
        self._reference_service = ReferenceServiceStub(self._channel)
        self.references = References(self._call_references, station)
        self._lock = Lock()
        self._streams: WeakSet[BlockingStream] = WeakSet()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all streams and the connection. A closed client stays closed."""
        self._is_closed = True
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.stop()
        self._channel.close()

    def classify(
        self,
        vectors: Vectors,
        *,
        ids: Sequence[str] | None = None,
        context: InspectionContext | None = None,
        n_neighbours: int | None = None,
        evidence: Evidence | None = None,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        """Return the answers to a batch of vectors, in its order.

        Parameters
        ----------
        vectors : (Q, V) float or uint8, or a sequence of Q arrays or ``Inspection``
            float16, float32 and uint8 travel as they are, float64 is converted to float32.
        ids : Q texts, or None
            Names for the vectors, echoed in the answers.
        context : InspectionContext or None
            About all vectors that bring none of their own.
        n_neighbours : int or None
            Neighbours to return with each verdict, K; None for the server's default.
        evidence : Evidence or None
            What comes with each verdict, where that is not everything, or neighbours found otherwise.
        timeout_s : float or None
            Deadline in seconds; None for the client's.

        Returns
        -------
        list of Answer, length Q
            A vector that cannot be judged has an ``error`` instead of a ``verdict``.

        Raises
        ------
        InvalidQueryError
            If something cannot be sent, or the server refused the call as a whole.
        MiwakeError
            If the call failed; the kinds are in ``miwake.client.errors``.
        """
        if not len(vectors):
            return []
        request = classify_request(
            vectors, station=self.station, ids=ids, context=context, n_neighbours=n_neighbours, evidence=evidence
        )
        response = self._call(self._stub().Classify, request, timeout_s)
        return unpack_batch(response, len(vectors))

    def search_neighbours(
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
        """Return the references nearest to each vector of a batch, without judging.

        Parameters, errors and order are those of ``classify``, and these:

        Parameters
        ----------
        where : Filter or None
            Which references may be found; where there are none, answers hold no neighbours.
        options : SearchOptions or None
            How they are found; None: as the station's index was calibrated.
        """
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
        response = self._call(self._stub().SearchNeighbours, request, timeout_s)
        return unpack_search(response, len(vectors))

    def inspect(
        self,
        items: Iterable[Vector | Inspection],
        *,
        context: InspectionContext | None = None,
        n_neighbours: int | None = None,
        evidence: Evidence | None = None,
        timeout_s: float | None = None,
        window: int = DEFAULT_WINDOW,
        vectors_per_message: int = DEFAULT_VECTORS_PER_MESSAGE,
    ) -> Generator[Answer]:
        """Stream vectors to the server and yield their answers in order, while sending.

        The iterable runs in a thread of its own, and may block for as long as it likes. A vector goes out at once while
        the server keeps up; when it does not, several share a message. Closing the generator cancels the stream.

        Parameters
        ----------
        items : iterable of (V,) float or uint8, or of Inspection
            What to inspect. What it raises is raised here, after the answers to everything that came before.
        context, n_neighbours, evidence
            As in ``classify``.
        timeout_s : float or None
            Longest wait for an answer that is due, in seconds; None for the client's.
        window : int
            The iterable is never more than this many vectors ahead of the answers taken here.
        vectors_per_message : int
            Most vectors in one message.

        Yields
        ------
        Answer
            Exactly one for each vector, in order.

        Raises
        ------
        InvalidQueryError
            If something cannot be sent; a vector's message names its position.
        DrainingError
            If the server stopped before the iterable was exhausted; all it accepted has been answered.
        ProtocolError
            If an answer is missing or out of order.
        MiwakeError
            If the stream failed otherwise.
        """
        settings = FlowSettings(
            window=window,
            vectors_per_message=vectors_per_message,
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
        )
        header = inspect_header(station=self.station, context=context, n_neighbours=n_neighbours, evidence=evidence)
        stream = BlockingStream(self._stub(), header, items, settings, target=self.target)
        with self._lock:
            self._streams.add(stream)
        return stream.answers()

    def _call_references(self, name: str, request: Any) -> Any:
        self._check_open()
        return self._call(getattr(self._reference_service, name), request, None)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError

    def _stub(self) -> InspectionServiceStub:
        self._check_open()
        return self._service

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT, timeout_s: float | None
    ) -> ResponseT:
        try:
            return method(request, timeout=self.timeout_s if timeout_s is None else timeout_s)
        except grpc.RpcError as error:
            raise translate_error(error, target=self.target) from error
