"""The calls that look after references, blocking and for asyncio; reached as ``client.references``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from miwake.client.references import (
    add_request,
    get_request,
    list_request,
    relabel_request,
    remove_request,
    unpack_change,
    unpack_reference,
    unpack_stored,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator, Iterable, Sequence

    from miwake.client.references import NewReference, Reference, ReferenceChange, StoredReference


class Call(Protocol):
    """Makes a call of the reference service: its name and its request in, its response out.

    ``is_repeatable`` says whether doing it twice is the same as doing it once, so that it may be tried again when
    nobody knows what came of it.
    """

    def __call__(self, name: str, request: Any, *, is_repeatable: bool = True) -> Any:
        """Make the call."""


class AsyncCall(Protocol):
    """The same for asyncio."""

    def __call__(self, name: str, request: Any, *, is_repeatable: bool = True) -> Awaitable[Any]:
        """Make the call."""


PAGE_SIZE = 100


class References:
    """The references of the client's station.

    Each change is durable once it is answered: it survives the loss of power. It is one revision, and is searched at
    once unless the station has been rolled back. ``actor`` is who makes it, for the history; None for the user of this
    process.

    Where no server answers, or it has too much to do, calls are tried again until their deadline, as the client's
    ``retry`` says. Adding or relabelling again what has been is no change, so that is safe also where the first attempt
    had been carried out and only its answer was lost: then the counts of the answer say ``n_unchanged``. ``remove`` is
    tried again only where the server said that nothing has changed.
    """

    def __init__(self, call: Call, station: str) -> None:
        self._call = call
        self._station = station

    def add(self, references: Iterable[NewReference], *, source: str = "", actor: str | None = None) -> ReferenceChange:
        """Add references, all of them or none.

        One that is there already with the same vector, template, label and failure mode is left as it is.

        Raises
        ------
        InvalidQueryError
            If a reference cannot be sent, or cannot be one of the station.
        ConflictError
            If an id stands for another vector, template, label or failure mode already.
        MiwakeError
            If the call failed otherwise.
        """
        request = add_request(references, station=self._station, source=source, actor=actor)
        return unpack_change(self._call("AddReferences", request).change)

    def get(self, reference_id: str, *, with_vector: bool = False) -> StoredReference:
        """Return one reference, with its history.

        Raises
        ------
        NotFoundError
            If there is none of that id.
        """
        request = get_request(reference_id, station=self._station, with_vector=with_vector)
        return unpack_stored(self._call("GetReference", request))

    def list(self, *, page_size: int = PAGE_SIZE) -> Generator[Reference]:
        """Yield all references of the latest revision in the order in which they were added, fetched page by page.

        Changes made meanwhile do not show: all pages are of one revision.
        """
        token = ""
        while True:
            request = list_request(station=self._station, page_size=page_size, page_token=token)
            page = self._call("ListReferences", request)
            yield from map(unpack_reference, page.references)
            token = page.next_page_token
            if not token:
                return

    def relabel(
        self, ids: Sequence[str], label: int, failure_mode: str, *, actor: str | None = None
    ) -> ReferenceChange:
        """Give references another label and failure mode; what they were stays in their history.

        Raises
        ------
        NotFoundError
            If an id is not there; then nothing has changed.
        """
        request = relabel_request(ids, label, failure_mode, station=self._station, actor=actor)
        return unpack_change(self._call("RelabelReferences", request).change)

    def remove(self, ids: Sequence[str], *, actor: str | None = None) -> ReferenceChange:
        """Remove references; they stay readable at earlier revisions.

        Raises
        ------
        NotFoundError
            If an id is not there; then nothing has changed.
        """
        request = remove_request(ids, station=self._station, actor=actor)
        return unpack_change(self._call("RemoveReferences", request, is_repeatable=False).change)


class AsyncReferences:
    """The references of the client's station, for asyncio: parameters, answers and errors as ``References``."""

    def __init__(self, call: AsyncCall, station: str) -> None:
        self._call = call
        self._station = station

    async def add(
        self, references: Iterable[NewReference], *, source: str = "", actor: str | None = None
    ) -> ReferenceChange:
        """Add references, all of them or none."""
        request = add_request(references, station=self._station, source=source, actor=actor)
        return unpack_change((await self._call("AddReferences", request)).change)

    async def get(self, reference_id: str, *, with_vector: bool = False) -> StoredReference:
        """Return one reference, with its history."""
        request = get_request(reference_id, station=self._station, with_vector=with_vector)
        return unpack_stored(await self._call("GetReference", request))

    async def list(self, *, page_size: int = PAGE_SIZE) -> AsyncGenerator[Reference]:
        """Yield all references of the latest revision in the order in which they were added."""
        token = ""
        while True:
            request = list_request(station=self._station, page_size=page_size, page_token=token)
            page = await self._call("ListReferences", request)
            for reference in page.references:
                yield unpack_reference(reference)
            token = page.next_page_token
            if not token:
                return

    async def relabel(
        self, ids: Sequence[str], label: int, failure_mode: str, *, actor: str | None = None
    ) -> ReferenceChange:
        """Give references another label and failure mode."""
        request = relabel_request(ids, label, failure_mode, station=self._station, actor=actor)
        return unpack_change((await self._call("RelabelReferences", request)).change)

    async def remove(self, ids: Sequence[str], *, actor: str | None = None) -> ReferenceChange:
        """Remove references."""
        request = remove_request(ids, station=self._station, actor=actor)
        return unpack_change((await self._call("RemoveReferences", request, is_repeatable=False)).change)
