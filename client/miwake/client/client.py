"""The blocking client."""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

import grpc

from miwake.client.answer_streams import AnswerStream
from miwake.client.channel import (
    DEFAULT_TIMEOUT_S,
    DEFAULT_VECTORS_PER_MESSAGE,
    DEFAULT_WINDOW,
    Connection,
)
from miwake.client.errors import ClosedError, translate_error
from miwake.client.flow_settings import FlowSettings
from miwake.client.packing import classify_request, inspect_header, search_request
from miwake.client.reference_calls import References
from miwake.client.retry import DEFAULT_RETRY, Attempts, Retry
from miwake.client.stream import BlockingStream
from miwake.client.unpacking import unpack_batch, unpack_search
from miwake.client.vector_calls import VectorCalls
from miwake.client.verifications import unpack_verify, verify_request
from miwake.inspection.v1.reference_service_pb2_grpc import ReferenceServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from miwake.client.answers import Answer, NeighboursAnswer
    from miwake.client.filters import Filter
    from miwake.client.inspections import Inspection, InspectionContext, Templates, Vector, Vectors
    from miwake.client.options import Evidence, SearchOptions
    from miwake.client.tls import Tls
    from miwake.client.verifications import PairAnswer

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

INTERRUPTED_CLOSE_S = 0.5
"""How long an interrupted program waits for its connection to end."""


class Client:
    """Asks a miwake server; safe to share between threads.

    Parameters
    ----------
    target : text
        Address of the server, ``host:port``.
    station : text
        The station to ask; may stay empty where the server has one.
    timeout_s : float
        Deadline of each call in seconds, all attempts together; of a stream, the longest wait for its next answer.
    retry : Retry or None
        How failures are mended that another attempt may mend: a broken connection, a server that is started again,
        drains or has too much to do. None: each failure is raised at once.
    tls : Tls or None
        How the connection is encrypted; None: plain text, for this machine only.
    token : text or None
        Says who asks; goes with every call as a bearer token. Refused in plain text to another machine.

    Raises
    ------
    InvalidQueryError
        If a certificate cannot be read, or the token must not be sent.

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
        self._channel = connection.open()
        self._service = VectorCalls(self._channel)
        self._reference_service = ReferenceServiceStub(self._channel)
        self.references = References(self._call_references, station)
        self._lock = Lock()
        self._streams: WeakSet[BlockingStream] = WeakSet()
        self._is_closed = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            self.close()
            return
        # An interrupt can hit between the lines of gRPC that take a lock and those that give it back
        # (https://github.com/python/cpython/issues/74174): closing would then wait for ever.
        closing = Thread(target=self.close, name="miwake-close", daemon=True)
        closing.start()
        closing.join(INTERRUPTED_CLOSE_S)

    def close(self) -> None:
        """End all streams and the connection. A closed client stays closed."""
        self._is_closed.set()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.stop()
        self._channel.close()

    def classify(
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
        """Return the answers to a batch of vectors, in its order.

        Parameters
        ----------
        vectors : (Q, V) float or uint8, or a sequence of Q arrays or ``Inspection``
            float16, float32 and uint8 travel as they are, float64 is converted to float32.
        templates : (Q, V) float or uint8, a sequence of Q arrays or None, or None
            The golden heat map of each vector's very place, on the vectors' scale; None, or all of it NaN, where there
            is none. They stand before those of ``Inspection`` items.
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
            vectors,
            templates=templates,
            station=self.station,
            ids=ids,
            context=context,
            n_neighbours=n_neighbours,
            evidence=evidence,
        )
        response = self._call(self._calls().classify, request, timeout_s)
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

        Parameters, errors and order are those of ``classify``, without templates, and these:

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
        response = self._call(self._calls().search_neighbours, request, timeout_s)
        return unpack_search(response, len(vectors))

    def verify(
        self,
        queries: Vectors,
        references: Vectors,
        *,
        ids: Sequence[str] | None = None,
        context: InspectionContext | None = None,
        max_false_accept_rate: float | None = None,
        timeout_s: float | None = None,
    ) -> list[PairAnswer]:
        """Return of each query whether it is of the same class as the reference in its place.

        The two are not exchangeable: SOART3 says how well a reference explains a query. What calibration measured holds
        for references as the station's, whose parts the embedder knows; of two new parts it says less.

        Parameters
        ----------
        queries, references : (Q, V) float or uint8, or sequences of Q arrays or ``Inspection``
            As ``classify`` takes them.
        ids : Q texts, or None
            Names for the pairs, echoed in the answers; None: the queries' own.
        context : InspectionContext or None
            About all queries that bring none of their own.
        max_false_accept_rate : float or None
            The share of pairs of different classes that may be taken for the same: the laxest of the station's
            thresholds that keeps it decides. None: that at which both errors were as frequent.
        timeout_s : float or None
            Deadline in seconds; None for the client's.

        Raises
        ------
        InvalidQueryError
            If something cannot be sent, or the server refuses it.
        IndexUnusableError
            If the station cannot verify, or not at that rate; the message says which it can.
        MiwakeError
            If the call failed otherwise.
        """
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
        response = self._call(self._calls().verify, request, timeout_s)
        return unpack_verify(response, len(request.pairs))

    def inspect(
        self,
        items: Iterable[Vector | Inspection],
        *,
        context: InspectionContext | None = None,
        n_neighbours: int | None = None,
        evidence: Evidence | None = None,
        generation: str | None = None,
        timeout_s: float | None = None,
        window: int = DEFAULT_WINDOW,
        vectors_per_message: int = DEFAULT_VECTORS_PER_MESSAGE,
    ) -> AnswerStream:
        """Stream vectors to the server and yield their answers in order, while sending.

        The iterable runs in a thread of its own, and may block for as long as it likes. A vector goes out at once while
        the server keeps up; when it does not, several share a message. Closing what is returned cancels the stream.

        A call that fails is replaced by another, as the client's ``retry`` says, which goes on where it was: nothing is
        missing, doubled or in another order for it, whether the connection broke or the server was started again.

        Parameters
        ----------
        items : iterable of (V,) float or uint8, or of Inspection
            What to inspect. What it raises is raised here, after the answers to everything that came before.
        context, n_neighbours, evidence
            As in ``classify``.
        generation : text or None
            The generation that must answer; None: always the current one.
        timeout_s : float or None
            Longest wait for an answer that is due, in seconds; None for the client's.
        window : int
            The iterable is never more than this many vectors ahead of the answers taken here.
        vectors_per_message : int
            Most vectors in one message.

        Returns
        -------
        AnswerStream
            Yields exactly one ``Answer`` for each vector, in order, and tells how far the stream has come.

        Raises
        ------
        InvalidQueryError
            If something cannot be sent; a vector's message names its position.
        DrainingError
            If the server stopped before the iterable was exhausted, and none came in its place in time; all it accepted
            has been answered.
        ProtocolError
            If an answer is missing or out of order.
        MiwakeError
            If the stream failed otherwise.
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
        stream = BlockingStream(self._calls(), header, items, settings, target=self.target, metadata=self._metadata)
        with self._lock:
            self._streams.add(stream)
        return AnswerStream(stream.answers(), stream.flow, stream.recovery)

    def _call_references(self, name: str, request: Any, *, is_repeatable: bool = True) -> Any:
        self._check_open()
        return self._call(getattr(self._reference_service, name), request, None, is_repeatable=is_repeatable)

    def _check_open(self) -> None:
        if self._is_closed.is_set():
            raise ClosedError

    def _calls(self) -> VectorCalls:
        self._check_open()
        return self._service

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        timeout_s: float | None,
        *,
        is_repeatable: bool = True,
    ) -> ResponseT:
        attempts = Attempts(self.retry, self.timeout_s if timeout_s is None else timeout_s, is_repeatable=is_repeatable)
        while True:
            try:
                return method(request, timeout=attempts.left_s(), metadata=self._metadata)
            except grpc.RpcError as error:
                wait_s = attempts.wait_s(translate_error(error, target=self.target), error)
            if self._is_closed.wait(wait_s):
                raise ClosedError
