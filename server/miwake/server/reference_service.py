"""The rpcs of ``miwake.inspection.v1.ReferenceService``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miwake.indexer.storage.edits import addition, relabelling, removal
from miwake.indexer.storage.store import ReferenceStore
from miwake.inspection.v1 import reference_service_pb2 as messages
from miwake.inspection.v1 import reference_service_pb2_grpc
from miwake.server import reference_wire as wire
from miwake.server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc

    from miwake.indexer.storage.edits import Edit
    from miwake.server.access import Access
    from miwake.server.engine import Engine
    from miwake.server.references import ReferenceWriters
    from miwake.server.stations import Station

MOST_IDS = 10_000
"""Ids in one message."""


class ReferenceService(reference_service_pb2_grpc.ReferenceServiceServicer):
    """Changes and shows the references of the served stations.

    Parameters
    ----------
    engine : Engine
        Which stations there are.
    writers : ReferenceWriters
        What makes changes durable.
    access : Access
        Who the callers are.
    """

    def __init__(self, engine: Engine, writers: ReferenceWriters, access: Access) -> None:
        self._engine = engine
        self._writers = writers
        self._access = access

    def AddReferences(  # noqa: N802 - the contract's name
        self, request: messages.AddReferencesRequest, context: grpc.ServicerContext
    ) -> messages.AddReferencesResponse:
        """Add references, all of them or none."""
        with self._engine.calls.opened():
            station = self._engine.stations.get(request.station)
            schema = self._writers.writer(station).schema
            records = wire.read_records(request, schema, max_vectors=self._engine.limits.max_vectors)
            edit = addition(records, schema, actor=self._access.actor_of(context, request.actor))
            return messages.AddReferencesResponse(change=self._commit(station, edit))

    def GetReference(  # noqa: N802
        self, request: messages.GetReferenceRequest, context: grpc.ServicerContext
    ) -> messages.GetReferenceResponse:
        """Return one reference, with its history."""
        del context
        with (
            self._engine.calls.opened(),
            ReferenceStore.open(self._engine.stations.get(request.station).folder) as store,
        ):
            found = store.get(request.id)
            templates = store.templates([request.id]) if request.with_vector else None
            return messages.GetReferenceResponse(
                reference=wire.references(found)[0],
                packed_vector=wire.packed_values(found.vectors[0]) if request.with_vector else b"",
                history=wire.events(store.history(request.id)),
                packed_template=b"" if templates is None else wire.packed_values(templates[0]),
            )

    def ListReferences(  # noqa: N802
        self, request: messages.ListReferencesRequest, context: grpc.ServicerContext
    ) -> messages.ListReferencesResponse:
        """Return one page of the references of a revision."""
        del context
        size = wire.read_page_size(request)
        with (
            self._engine.calls.opened(),
            ReferenceStore.open(self._engine.stations.get(request.station).folder) as store,
        ):
            after = 0
            wanted = None
            if request.page_token:
                wanted, after = wire.read_page_token(request.page_token)
                if wanted > store.revision:
                    raise RequestError(field="page_token", problem="not one that was given out")
            revision = store.at(wanted)
            page, following = store.page(revision.revision, after=after, size=size)
            return messages.ListReferencesResponse(
                references=wire.references(page),
                next_page_token=wire.page_token(revision.revision, following),
                revision=revision.revision,
                n_references=revision.n_references,
            )

    def RelabelReferences(  # noqa: N802
        self, request: messages.RelabelReferencesRequest, context: grpc.ServicerContext
    ) -> messages.RelabelReferencesResponse:
        """Give references another label and failure mode."""
        if not request.HasField("label"):
            raise RequestError(field="label", problem="not set, expected a class code")
        _check_ids(request.ids)
        with self._engine.calls.opened():
            station = self._engine.stations.get(request.station)
            actor = self._access.actor_of(context, request.actor)
            edit = relabelling(tuple(request.ids), request.label, request.failure_mode, actor=actor)
            return messages.RelabelReferencesResponse(change=self._commit(station, edit))

    def RemoveReferences(  # noqa: N802
        self, request: messages.RemoveReferencesRequest, context: grpc.ServicerContext
    ) -> messages.RemoveReferencesResponse:
        """Remove references."""
        _check_ids(request.ids)
        with self._engine.calls.opened():
            station = self._engine.stations.get(request.station)
            edit = removal(tuple(request.ids), actor=self._access.actor_of(context, request.actor))
            return messages.RemoveReferencesResponse(change=self._commit(station, edit))

    def _commit(self, station: Station, edit: Edit) -> messages.ReferenceChange:
        change, is_searched = self._writers.commit(station, edit)
        return wire.reference_change(change, is_searched=is_searched)


def _check_ids(ids: Sequence[str]) -> None:
    if not 1 <= len(ids) <= MOST_IDS:
        raise RequestError(field="ids", problem=f"{len(ids)}, expected 1 … {MOST_IDS}")
