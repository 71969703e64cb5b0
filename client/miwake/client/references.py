"""References: what a station compares with, as both clients hand them in and out, and between these and messages."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from miwake.client.errors import InvalidQueryError
from miwake.client.inspections import Inspection
from miwake.client.packed_vectors import pack
from miwake.inspection.v1 import reference_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp
    from numpy.typing import NDArray

    from miwake.client.inspections import Vector

LABEL_BOUNDS = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewReference:
    """A reference to be.

    Attributes
    ----------
    id : text
        Unique in its station.
    vector : (V,) float or uint8, or Inspection
        Of an ``Inspection``, the template and the context's part and time are kept with the reference; its id is not
        used.
    label : int
        The class code, 32 bits.
    failure_mode : text
        How it failed; the name of the pass class for passes.
    group : text
        What parts have in common; empty where not known.
    """

    id: str
    vector: Vector | Inspection
    label: int
    failure_mode: str
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is known about a reference; empty text means: not known.

    Attributes
    ----------
    id : text
    label : int
    failure_mode, part, group, source : text
    inspected_at : datetime or None
        In UTC.
    """

    id: str
    label: int
    failure_mode: str
    part: str
    group: str
    source: str
    inspected_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceEvent:
    """One thing that happened to a reference; labels and failure modes are None where it was not there.

    Attributes
    ----------
    revision : int
    at : datetime
        In UTC.
    actor, verb : text
        Who did what: add, relabel or remove.
    from_label, to_label : int or None
    from_failure_mode, to_failure_mode : text or None
    """

    revision: int
    at: datetime
    actor: str
    verb: str
    from_label: int | None
    to_label: int | None
    from_failure_mode: str | None
    to_failure_mode: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredReference:
    """One reference with all that there is of it.

    Attributes
    ----------
    reference : Reference
    vector : (V,) float32, or None
        None unless asked for.
    history : tuple of ReferenceEvent
        Oldest first.
    template : (V,) float32, or None
        None where it has none, and unless the vector was asked for.
    """

    reference: Reference
    vector: NDArray[np.float32] | None
    history: tuple[ReferenceEvent, ...]
    template: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceChange:
    """What a change did. It is durable.

    Attributes
    ----------
    revision : int
        The one that it made; without any effect, the one that was there before.
    n_added, n_relabelled, n_removed, n_unchanged : int
        References.
    is_searched : bool
        Whether the server compares with this revision now; False after a roll back, until the next rebuild.
    """

    revision: int
    n_added: int
    n_relabelled: int
    n_removed: int
    n_unchanged: int
    is_searched: bool


def add_request(
    references: Iterable[NewReference], *, station: str, source: str, actor: str | None
) -> messages.AddReferencesRequest:
    """Return the request that adds references.

    Raises
    ------
    InvalidQueryError
        If a vector, a label or a text cannot be sent; the message names the reference.
    """
    return messages.AddReferencesRequest(
        station=station,
        references=[_pack_new(one) for one in references],
        source=_text(source, "source"),
        actor=_actor(actor),
    )


def relabel_request(
    ids: Sequence[str], label: int, failure_mode: str, *, station: str, actor: str | None
) -> messages.RelabelReferencesRequest:
    """Return the request that relabels references; errors as ``add_request``."""
    return messages.RelabelReferencesRequest(
        station=station,
        ids=_ids(ids),
        label=_label(label),
        failure_mode=_text(failure_mode, "failure_mode"),
        actor=_actor(actor),
    )


def remove_request(ids: Sequence[str], *, station: str, actor: str | None) -> messages.RemoveReferencesRequest:
    """Return the request that removes references; errors as ``add_request``."""
    return messages.RemoveReferencesRequest(station=station, ids=_ids(ids), actor=_actor(actor))


def get_request(reference_id: str, *, station: str, with_vector: bool) -> messages.GetReferenceRequest:
    """Return the request for one reference; errors as ``add_request``."""
    return messages.GetReferenceRequest(station=station, id=_text(reference_id, "id"), with_vector=with_vector)


def list_request(*, station: str, page_size: int, page_token: str) -> messages.ListReferencesRequest:
    """Return the request for a page of references.

    Raises
    ------
    InvalidQueryError
        If the page size is not at least 1.
    """
    if page_size < 1:
        message = f"page_size {page_size}, expected at least 1"
        raise InvalidQueryError(message)
    return messages.ListReferencesRequest(station=station, page_size=min(page_size, 2**31), page_token=page_token)


def unpack_change(change: messages.ReferenceChange) -> ReferenceChange:
    """Return what a change did."""
    return ReferenceChange(
        revision=change.revision,
        n_added=change.n_added,
        n_relabelled=change.n_relabelled,
        n_removed=change.n_removed,
        n_unchanged=change.n_unchanged,
        is_searched=change.is_searched,
    )


def unpack_reference(message: messages.Reference) -> Reference:
    """Return what is known about a reference."""
    return Reference(
        id=message.id,
        label=message.label,
        failure_mode=message.failure_mode,
        part=message.part,
        group=message.group,
        source=message.source,
        inspected_at=_datetime(message.inspected_at) if message.HasField("inspected_at") else None,
    )


def unpack_stored(response: messages.GetReferenceResponse) -> StoredReference:
    """Return one reference with its history."""
    return StoredReference(
        reference=unpack_reference(response.reference),
        vector=_unpack_values(response.packed_vector),
        history=tuple(_unpack_event(event) for event in response.history),
        template=_unpack_values(response.packed_template),
    )


def _unpack_values(packed: bytes) -> NDArray[np.float32] | None:
    return np.frombuffer(packed, dtype="<f4").astype(np.float32) if packed else None


def _unpack_event(event: messages.ReferenceEvent) -> ReferenceEvent:
    was_there, is_there = event.HasField("from_label"), event.HasField("to_label")
    return ReferenceEvent(
        revision=event.revision,
        at=_datetime(event.at),
        actor=event.actor,
        verb=event.verb,
        from_label=event.from_label if was_there else None,
        to_label=event.to_label if is_there else None,
        from_failure_mode=event.from_failure_mode if was_there else None,
        to_failure_mode=event.to_failure_mode if is_there else None,
    )


def _pack_new(new: NewReference) -> messages.NewReference:
    where = f"reference {new.id!r}"
    item = new.vector if isinstance(new.vector, Inspection) else Inspection(vector=new.vector)
    try:
        vector = pack(replace(item, id=new.id)).message
        return messages.NewReference(
            vector=vector,
            label=_label(new.label),
            failure_mode=_text(new.failure_mode, "failure_mode"),
            group=_text(new.group, "group"),
        )
    except InvalidQueryError as error:
        message = f"{where}: {error}"
        raise InvalidQueryError(message) from error


def _label(label: int) -> int:
    is_number = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    if not is_number or not LABEL_BOUNDS.min <= label <= LABEL_BOUNDS.max:
        message = f"label {label!r}, expected a whole number of 32 bits"
        raise InvalidQueryError(message)
    return int(label)


def _ids(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str):
        message = f"ids {ids!r}: a single text, expected several; write [{ids!r}]"
        raise InvalidQueryError(message)
    return [_text(one, "id") for one in ids]


def _text(text: str, name: str) -> str:
    try:
        text.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        message = f"{name} {text!r}, expected text that can be sent"
        raise InvalidQueryError(message) from error
    return text


def _actor(actor: str | None) -> str:
    """Return who changes references; by default the user of this process."""
    if actor is not None:
        return _text(actor, "actor")
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process whose user has no name
        return ""


def _datetime(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)
