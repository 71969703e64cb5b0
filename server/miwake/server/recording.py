"""The seam between what is answered and what keeps a record of it.

An ``Engine`` may have a ``Recorder``; without one, nothing is recorded, and ``await_record`` is refused. With one, this
is agreed between the two sides:

- ``record`` is called on the compute thread with every ``Delivery`` of verdicts (``Task.CLASSIFY``), of streams and
  unary calls, once, in the order in which they are computed, also where nobody waits for the answer any more. Items
  with an error are part of it; searches for neighbours are not. The call must return at once, and never raise: a
  recorder that cannot keep up says so through ``told``.
- ``told`` is called exactly once for each, from any thread: with True once the delivery is durable, with False where it
  never will be. It returns at once. An answer that waits for its record (``await_record``) goes out on either, with
  ``Provenance.recorded`` as it was told; any other goes out without waiting, and says True only where it was told so
  before.
- What a stream says in ``Acknowledgement.n_recorded`` is the sequence before which every one of its deliveries was told
  True; after one that was told False it stays where it is. Any order of telling is right.
- A delivery that is handed to ``record`` may be kept as long as needed, and must not be changed.
- The owner of the recorder closes it after the batcher: nothing is recorded then. Every delivery that it still has is
  told of by then, since callers who await their record hold their calls open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.server.jobs import Delivery


class Recorder(Protocol):
    """Keeps verdicts for good, off the compute thread."""

    @property
    def n_queued(self) -> int:
        """Answers that are not durable yet."""

    @property
    def is_failing(self) -> bool:
        """Whether answers have been lost lately, or are about to be."""

    def record(self, delivery: Delivery, *, stream_id: str, told: Callable[[bool], object]) -> None:
        """Take over a delivery of verdicts, and tell later whether it is durable; the module says how.

        Parameters
        ----------
        delivery : Delivery
            Its items have their sequences in the stream or call, ids and contexts; its index says what answered.
        stream_id : text
            The caller's name for the stream, unique within the station; empty for other streams and unary calls.
        told : function of bool
            Whether it is durable.
        """
