"""Durable changes of many threads, several in each transaction, because a commit waits for the disk: group commit.

Why, and what it gains: docs/adr/0011-group-commit-and-injected-faults.md.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple, Self

from miwake.indexer.errors import IndexerError, StoreBusyError, StoreError
from miwake.indexer.storage.connection import BUSY_TIMEOUT_S
from miwake.indexer.storage.edits import addition, relabelling, removal
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from miwake.indexer.records import Records
    from miwake.indexer.storage.changes import Change
    from miwake.indexer.storage.edits import Edit
    from miwake.indexer.storage.schema import StationSchema

QUEUE_LIMIT = 1_024
"""Changes that may wait; whoever comes later waits until there is room."""

MOST_ROWS = 4_096
"""References that one transaction changes, unless one change alone has more: 22 MB of vectors of 1,404 values."""


class _Waiting(NamedTuple):
    edit: Edit
    answer: Future[Change]


class GroupCommit:
    """Changes of one station's references from many threads, each durable before it is answered.

    One thread owns one connection. It takes what waits, makes each change a revision of its own inside one transaction,
    commits, and only then answers. A change that is refused is undone alone: those beside it do not notice.

    Parameters
    ----------
    folder : Path
        ``STORE/<station>``.
    busy_timeout_s : float
        Longest wait for other processes' transactions.
    queue_limit : int
        Changes that may wait.

    Raises
    ------
    StationNotFoundError, ArtifactVersionError, ArtifactCorruptError
        As ``ReferenceStore.open``.
    """

    def __init__(self, folder: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S, queue_limit: int = QUEUE_LIMIT) -> None:
        self._folder = folder
        self._busy_timeout_s = busy_timeout_s
        self._queue_limit = queue_limit
        self._waiting: deque[_Waiting] = deque()
        self._is_closed = False
        lock = threading.Lock()
        self._has_work, self._has_room = threading.Condition(lock), threading.Condition(lock)
        self._n_transactions = 0
        opened: Future[StationSchema] = Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="group-commit", daemon=True)
        self._thread.start()
        self.schema = opened.result()

    def close(self) -> None:
        """Refuse new changes, answer all that were accepted, and end the thread."""
        with self._has_work:
            self._is_closed = True
            self._has_work.notify_all()
            self._has_room.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def n_transactions(self) -> int:
        """How many transactions have been committed."""
        return self._n_transactions

    def add(self, records: Records, *, actor: str) -> Change:
        """Add all records durably, or none of them; see ``ReferenceStore.add``, whose errors it raises."""
        return self.submit(addition(records, self.schema, actor=actor)).result()

    def relabel(self, ids: Sequence[str], label: int, failure_mode: str, *, actor: str) -> Change:
        """Relabel references durably; see ``ReferenceStore.relabel``, whose errors it raises."""
        return self.submit(relabelling(ids, label, failure_mode, actor=actor)).result()

    def remove(self, ids: Sequence[str], *, actor: str) -> Change:
        """Remove references durably; see ``ReferenceStore.remove``, whose errors it raises."""
        return self.submit(removal(ids, actor=actor)).result()

    def submit(self, edit: Edit, *, timeout_s: float | None = None) -> Future[Change]:
        """Accept a change, and return its answer to come: the change once it is durable, or the error.

        Parameters
        ----------
        edit : Edit
        timeout_s : float, optional
            Longest wait for room in the queue; by default that for other processes.

        Raises
        ------
        StoreBusyError
            If no room came free in the queue in time.
        StoreError
            If this is closed.
        """
        waiting = _Waiting(edit, Future())
        with self._has_room:
            if not self._has_room.wait_for(self._may_enter, self._busy_timeout_s if timeout_s is None else timeout_s):
                message = f"{self._folder}: {self._queue_limit} changes wait already; nothing was changed, try again"
                raise StoreBusyError(message)
            if self._is_closed:
                message = f"{self._folder}: closed, no more changes are accepted"
                raise StoreError(message)
            self._waiting.append(waiting)
            self._has_work.notify()
        return waiting.answer

    def _may_enter(self) -> bool:
        return self._is_closed or len(self._waiting) < self._queue_limit

    def _run(self, opened: Future[StationSchema]) -> None:
        try:
            store = ReferenceStore.open(self._folder, busy_timeout_s=self._busy_timeout_s)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            opened.set_exception(error)
            return
        with store:
            opened.set_result(store.schema)
            while group := self._take():
                self._commit(store, [one for one in group if one.answer.set_running_or_notify_cancel()])

    def _take(self) -> list[_Waiting]:
        """Return what waits, as far as it fits one transaction; nothing once this is closed and all is answered."""
        with self._has_work:
            self._has_work.wait_for(lambda: self._waiting or self._is_closed)
            group: list[_Waiting] = []
            n_rows = 0
            while self._waiting and (not group or n_rows + self._waiting[0].edit.n_rows <= MOST_ROWS):
                group.append(self._waiting.popleft())
                n_rows += group[-1].edit.n_rows
            self._has_room.notify_all()
        return group

    def _commit(self, store: ReferenceStore, group: list[_Waiting]) -> None:
        try:
            outcomes = store.apply([one.edit for one in group])
        except StoreBusyError as error:
            for one in group:
                one.answer.set_exception(StoreBusyError(str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            if len(group) == 1:
                group[0].answer.set_exception(error)
                return
            # Such as a full disk: what is too large for it is refused, what is not is stored.
            for one in group:
                self._commit(store, [one])
        else:
            self._n_transactions += 1
            for one, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, IndexerError):
                    one.answer.set_exception(outcome)
                else:
                    one.answer.set_result(outcome)
