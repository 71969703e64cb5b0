"""The rpcs of ``miwake.inspection.v1.IndexService``."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, timestamp_pb2

from miwake.indexer.opening import roll_back
from miwake.indexer.switching import switch_to
from miwake.indexer.telling.describe import describe
from miwake.indexer.telling.listing import CURRENT, KEPT, STAGED, list_station
from miwake.inspection.v1 import index_service_pb2 as messages
from miwake.inspection.v1 import index_service_pb2_grpc
from miwake.server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import grpc

    from miwake.indexer.telling.listing import ListedGeneration
    from miwake.server.engine import Engine
    from miwake.server.operations import Operation
    from miwake.server.rebuilds import Rebuilds
    from miwake.server.stations import Station

STATES: Mapping[str, messages.GenerationState.ValueType] = {
    CURRENT: messages.GENERATION_STATE_CURRENT,
    STAGED: messages.GENERATION_STATE_STAGED,
    KEPT: messages.GENERATION_STATE_KEPT,
}


class IndexService(index_service_pb2_grpc.IndexServiceServicer):
    """Shows, builds and switches the indexes of the served stations.

    Parameters
    ----------
    engine : Engine
        Which stations there are.
    rebuilds : Rebuilds
        What is being built.
    """

    def __init__(self, engine: Engine, rebuilds: Rebuilds) -> None:
        self._engine = engine
        self._rebuilds = rebuilds

    def ListIndexes(  # noqa: N802 - the contract's name
        self, request: messages.ListIndexesRequest, context: grpc.ServicerContext
    ) -> messages.ListIndexesResponse:
        """Return the served stations with their generations."""
        del context
        stations = self._engine.stations
        with self._engine.calls.opened():
            wanted = [stations.get(request.station)] if request.station else stations.all()
            return messages.ListIndexesResponse(indexes=[_index(station) for station in wanted])

    def DescribeIndex(  # noqa: N802
        self, request: messages.DescribeIndexRequest, context: grpc.ServicerContext
    ) -> messages.DescribeIndexResponse:
        """Say what an index is."""
        del context
        with self._engine.calls.opened():
            station = self._engine.stations.get(request.station)
            described = describe(station.folder, request.generation or None)
            response = messages.DescribeIndexResponse(station=station.name, generation=described.generation)
            json_format.ParseDict(_with_text_keys(described.to_dict()), response.description)
            return response

    def RebuildIndex(  # noqa: N802
        self, request: messages.RebuildIndexRequest, context: grpc.ServicerContext
    ) -> messages.RebuildIndexResponse:
        """Begin to build a generation of the latest references."""
        del context
        with self._engine.calls.opened():
            operation = self._rebuilds.start(self._engine.stations.get(request.station), stage=request.stage)
            return messages.RebuildIndexResponse(operation=_operation(operation))

    def GetOperation(  # noqa: N802
        self, request: messages.GetOperationRequest, context: grpc.ServicerContext
    ) -> messages.GetOperationResponse:
        """Return what has become of a rebuild."""
        del context
        return messages.GetOperationResponse(operation=_operation(self._rebuilds.get(request.name)))

    def WatchOperation(  # noqa: N802
        self, request: messages.WatchOperationRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.WatchOperationResponse]:
        """Return what has become of a rebuild whenever it changes, until it is over."""
        is_gone = threading.Event()
        context.add_callback(is_gone.set)
        for operation in self._rebuilds.watch(request.name, is_unwanted=is_gone):
            yield messages.WatchOperationResponse(operation=_operation(operation))

    def CancelOperation(  # noqa: N802
        self, request: messages.CancelOperationRequest, context: grpc.ServicerContext
    ) -> messages.CancelOperationResponse:
        """End a rebuild."""
        del context
        return messages.CancelOperationResponse(operation=_operation(self._rebuilds.cancel(request.name)))

    def ActivateGeneration(  # noqa: N802
        self, request: messages.ActivateGenerationRequest, context: grpc.ServicerContext
    ) -> messages.ActivateGenerationResponse:
        """Make a generation current."""
        del context
        with self._engine.calls.opened():
            station = self._engine.stations.get(request.station)
            if not request.generation:
                raise RequestError(field="generation", problem="empty, expected one such as 'g000001'")
            switch_to(station.folder, request.generation)
            self._engine.stations.take_over(station)
            return messages.ActivateGenerationResponse(index=_index(station))

    def RollBackIndex(  # noqa: N802
        self, request: messages.RollBackIndexRequest, context: grpc.ServicerContext
    ) -> messages.RollBackIndexResponse:
        """Make an earlier generation current, at its own revision."""
        del context
        with self._engine.calls.opened():
            station = self._engine.stations.get(request.station)
            roll_back(station.folder, request.generation or None)
            self._engine.stations.take_over(station)
            return messages.RollBackIndexResponse(index=_index(station))


def _index(station: Station) -> messages.Index:
    listed = list_station(station.folder)
    return messages.Index(
        station=station.name,
        serving=station.index.generation,
        serving_revision=station.index.revision,
        latest_revision=listed.revision,
        n_references=listed.n_references,
        follows=listed.follows,
        generations=[_generation(one) for one in listed.generations],
        problem=station.problem or listed.problem,
    )


def _generation(listed: ListedGeneration) -> messages.Generation:
    created_at = datetime.fromisoformat(listed.created_at) if listed.created_at else None
    return messages.Generation(
        generation=listed.generation,
        state=STATES[listed.state],
        created_at=_timestamp(created_at),
        revision=listed.revision,
        n_references=listed.n_references,
        embedder=listed.embedder,
        size_bytes=listed.size_bytes,
        problem=listed.problem,
    )


def _operation(operation: Operation) -> messages.Operation:
    return messages.Operation(
        name=operation.name,
        station=operation.station,
        is_done=operation.is_done,
        progress=operation.progress,
        started_at=_timestamp(operation.started_at),
        generation=operation.generation,
        error=operation.error,
        is_cancelled=operation.is_cancelled,
    )


def _timestamp(at: datetime | None) -> timestamp_pb2.Timestamp | None:
    if at is None:
        return None
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromDatetime(at)
    return timestamp


def _with_text_keys(value: Any) -> Any:  # JSON
    """Return plain values whose mappings have texts for keys and whose sequences are lists, as JSON wants them."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(one) for one in value]
    return value
