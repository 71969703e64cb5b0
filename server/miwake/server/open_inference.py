"""``inference.GRPCInferenceService``: the Open Inference Protocol in front of the same engine.

Clients and load tools of Triton and KServe ask a station as they would ask a model; a generation is a version of it.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from miwake.inference import grpc_inference_service_pb2 as messages
from miwake.inference import grpc_inference_service_pb2_grpc
from miwake.server import tensors
from miwake.server.errors import UnknownGenerationError, UnknownStationError
from miwake.server.intake import array_jobs
from miwake.server.status import INTERNAL_TEXT, mapping_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from miwake.server.engine import Engine
    from miwake.server.index import Index

log = structlog.get_logger()


class OpenInferenceService(grpc_inference_service_pb2_grpc.GRPCInferenceServiceServicer):
    """Judges tensors of vectors with the index of their station.

    Parameters
    ----------
    engine : Engine
        What answers.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ServerLive(  # noqa: N802 - the protocol's name
        self, request: messages.ServerLiveRequest, context: grpc.ServicerContext
    ) -> messages.ServerLiveResponse:
        """Say that the server is there."""
        del request, context
        return messages.ServerLiveResponse(live=True)

    def ServerReady(  # noqa: N802
        self, request: messages.ServerReadyRequest, context: grpc.ServicerContext
    ) -> messages.ServerReadyResponse:
        """Tell whether the server takes vectors."""
        del request, context
        return messages.ServerReadyResponse(ready=self._is_ready())

    def ModelReady(  # noqa: N802
        self, request: messages.ModelReadyRequest, context: grpc.ServicerContext
    ) -> messages.ModelReadyResponse:
        """Tell whether a station answers with a generation."""
        del context
        if not self._is_ready():
            return messages.ModelReadyResponse(ready=False)
        try:
            self._index(request.name, request.version)
        except (UnknownStationError, UnknownGenerationError):
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=True)

    def ServerMetadata(  # noqa: N802
        self, request: messages.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> messages.ServerMetadataResponse:
        """Say what the server is."""
        del request, context
        return messages.ServerMetadataResponse(name="miwake", version=version("miwake"))

    def ModelMetadata(  # noqa: N802
        self, request: messages.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> messages.ModelMetadataResponse:
        """Say what a station takes and gives."""
        del context
        return tensors.metadata(self._index(request.name, request.version))

    def ModelInfer(  # noqa: N802
        self, request: messages.ModelInferRequest, context: grpc.ServicerContext
    ) -> messages.ModelInferResponse:
        """Judge a batch of vectors."""
        with self._engine.calls.opened():
            return self._infer(request, context)

    def ModelStreamInfer(  # noqa: N802
        self, request_iterator: Iterator[messages.ModelInferRequest], context: grpc.ServicerContext
    ) -> Iterator[messages.ModelStreamInferResponse]:
        """Judge batches one after the other; one that cannot be judged gets an error, and the stream goes on."""
        for request in request_iterator:
            try:
                with self._engine.calls.opened():
                    response = messages.ModelStreamInferResponse(infer_response=self._infer(request, context))
            except Exception as error:  # noqa: BLE001 - in this protocol, errors are answers of the stream
                response = messages.ModelStreamInferResponse(
                    error_message=_text_of(error), infer_response=messages.ModelInferResponse(id=request.id)
                )
            yield response

    def _infer(self, request: messages.ModelInferRequest, context: grpc.ServicerContext) -> messages.ModelInferResponse:
        names = tensors.wanted_outputs(request)
        index = self._index(request.model_name, request.model_version)
        limits = self._engine.limits
        vectors, templates = tensors.read_vectors(
            request, n_values=index.scale.n_values, max_vectors=limits.max_vectors
        )
        jobs = array_jobs(vectors, templates, index, limits, tensors.read_n_neighbours(request))
        return tensors.infer_response(request, self._engine.calls.answer(jobs, context), names)

    def _index(self, station: str, generation: str) -> Index:
        index = self._engine.stations.get(station).index
        if generation not in ("", index.generation):
            raise UnknownGenerationError(generation, station=index.station, served=index.generation)
        return index

    def _is_ready(self) -> bool:
        return bool(self._engine.stations.all()) and not self._engine.calls.is_stopping


def _text_of(error: Exception) -> str:
    """Return what a caller is told; where that is nothing, the cause goes to the log."""
    if mapping_of(error) is not None:
        return str(error)
    log.error("call_failed", method="/inference.GRPCInferenceService/ModelStreamInfer", exc_info=error)
    return INTERNAL_TEXT
