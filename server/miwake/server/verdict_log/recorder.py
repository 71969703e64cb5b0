"""Recording answers off the hot path: the compute thread leaves a reference, and others write it.

``record`` costs the compute thread some two microseconds a delivery. The *keeper* takes what has been left, at once
where the last commit is a while ago, has the *writer*'s thread commit it, and tells. It never waits for a disk longer
than its patience, so that callers who hold answers back until they are recorded get them in any case. Neither thread
has a lower priority than others: both hold the interpreter's lock at times, and the compute thread would wait for them.
"""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic, time_ns
from typing import TYPE_CHECKING, NamedTuple, Self

import structlog

from miwake.server.verdict_log.rows import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from miwake.server.jobs import Delivery
    from miwake.server.verdict_log.writer import Writer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a log is written.

    Attributes
    ----------
    between_commits_s : float
        From the beginning of one commit to that of the next, at least: what comes meanwhile shares an fsync.
    patience_s : float
        How long a commit may take before its answers are told to be unrecorded.
    max_queued : int
        Answers that may wait to be written, some 100 MB with their vectors. Those beyond are lost, and counted.
    quiet_s : float
        How long nothing may have been lost before all is said to be well again.
    """

    between_commits_s: float = 0.1
    patience_s: float = 5.0
    max_queued: int = 16_384
    quiet_s: float = 10.0


class Left(NamedTuple):
    """What the compute thread leaves: an entry, or None where there was no room for one, and whom to tell."""

    entry: Entry | None
    n_rows: int
    told: Callable[[bool], object]


class Commit(NamedTuple):
    """A commit that the writer's thread is at."""

    future: Future[None]
    n_rows: int


class VerdictRecorder:
    """The verdict log of one process; a context manager, which has everything written that was left before it leaves.

    Parameters
    ----------
    writer : Writer
        Closed on leaving.
    pace : Pace
    count : function of two ints, optional
        Called with answers that were recorded, and lost, since it was last called; it must neither block nor raise.

    Attributes
    ----------
    n_recorded, n_lost : int
        Answers that are in the log, and those that are not going to be.
    is_failing : bool
        Whether answers have been lost lately, or are about to be.
    """

    def __init__(
        self, writer: Writer, pace: Pace | None = None, *, count: Callable[[int, int], object] | None = None
    ) -> None:
        self.n_recorded = 0
        self.n_lost = 0
        self.is_failing = False
        self._writer = writer
        self._pace = pace or Pace()
        self._count = count
        self._left: SimpleQueue[Left | None] = SimpleQueue()
        self._n_left = 0  # the compute thread's
        self._n_taken = 0  # the keeper's
        self._alarmed_at = 0.0
        self._closing = threading.Event()
        self._commit: Commit | None = None
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="verdict-writer")
        self._keeper = threading.Thread(target=self._keep, name="verdict-keeper")

    def __enter__(self) -> Self:
        try:
            self._writer.open()
        except (OSError, sqlite3.Error) as error:
            self._alarm(0, repr(error))
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.put(None)
        self._closing.set()
        self._keeper.join()
        self._writing.submit(self._writer.close)
        self._writing.shutdown()

    @property
    def n_queued(self) -> int:
        """Answers that wait to be written."""
        return self._n_left - self._n_taken

    def record(self, delivery: Delivery, *, stream_id: str, told: Callable[[bool], object]) -> None:
        """Take over a delivery of verdicts, as ``miwake.server.recording`` says."""
        n_rows = len(delivery)
        if self._n_left - self._n_taken + n_rows > self._pace.max_queued:
            self._left.put(Left(None, n_rows, told))
            return
        self._n_left += n_rows
        self._left.put(Left(Entry(delivery, stream_id, time_ns() // 1000), n_rows, told))

    def _keep(self) -> None:
        is_last = False
        while not is_last and (first := self._left.get()) is not None:
            began = monotonic()
            left, is_last = self._gather(first)
            self._write(left)
            self._closing.wait(max(0.0, began + self._pace.between_commits_s - monotonic()))

    def _gather(self, first: Left) -> tuple[list[Left], bool]:
        """Return everything that has been left, and whether nothing can follow."""
        left = [first]
        try:
            while (one := self._left.get_nowait()) is not None:
                left.append(one)
        except Empty:
            return left, False
        return left, True

    def _write(self, left: Sequence[Left]) -> None:
        entries = [one.entry for one in left if one.entry is not None]
        n_dropped = sum(one.n_rows for one in left if one.entry is None)
        is_durable = self._commit_entries(entries) if entries else False
        self._n_taken += sum(len(entry) for entry in entries)
        if n_dropped:
            self._alarm(n_dropped, "more answers than the disk can take")
        for one in left:
            self._tell(one, is_durable=is_durable and one.entry is not None)

    def _tell(self, one: Left, *, is_durable: bool) -> None:
        try:
            one.told(is_durable)
        except Exception:
            log.exception("verdict_log_caller_failed")

    def _commit_entries(self, entries: Sequence[Entry]) -> bool:
        n_rows = sum(len(entry) for entry in entries)
        if self._commit is not None and not self._is_over(self._commit, timeout_s=0):
            self._alarm(n_rows, "the disk does not answer")
            return False
        commit = self._commit = Commit(self._writing.submit(self._writer.append, entries), n_rows)
        if not self._is_over(commit, timeout_s=self._pace.patience_s):
            self._alarm(0, "the disk does not answer")
            return False
        return commit.future.exception() is None

    def _is_over(self, commit: Commit, *, timeout_s: float) -> bool:
        """Return whether a commit has come to an end, which is counted then."""
        wait([commit.future], timeout_s)
        if not commit.future.done():
            return False
        self._commit = None
        error = commit.future.exception()
        if error is None:
            self.n_recorded += commit.n_rows
            if self._count is not None:
                self._count(commit.n_rows, 0)
            self._recover()
        else:
            self._alarm(commit.n_rows, repr(error))
        return True

    def _alarm(self, n_lost: int, problem: str) -> None:
        self.n_lost += n_lost
        if self._count is not None and n_lost:
            self._count(0, n_lost)
        self._alarmed_at = monotonic()
        if not self.is_failing:
            self.is_failing = True
            log.error("verdict_log_failing", folder=str(self._writer.folder), problem=problem, n_lost=self.n_lost)

    def _recover(self) -> None:
        if self.is_failing and monotonic() - self._alarmed_at >= self._pace.quiet_s:
            self.is_failing = False
            log.warning("verdict_log_recovered", n_lost=self.n_lost)
