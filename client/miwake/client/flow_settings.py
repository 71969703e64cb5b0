"""How far a stream may run ahead, how long it waits, and whether it may be taken up again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from miwake.client.errors import InvalidQueryError

if TYPE_CHECKING:
    from miwake.client.retry import Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSettings:
    """How far a stream may run ahead, and whether it may be taken up again.

    Attributes
    ----------
    window : int
        Vectors that may be taken from the producer and not yet handed over with their answer.
    vectors_per_message : int
        Most vectors that go in one message.
    timeout_s : float
        Longest wait for the next answer while one is due, in seconds.
    retry : Retry or None
        None: the first failure ends the stream.
    stream_id : text
        The stream's name on the server, unlike any other's; by default drawn at random.

    Raises
    ------
    InvalidQueryError
        If one of them is not positive.
    """

    window: int
    vectors_per_message: int
    timeout_s: float
    retry: Retry | None = None
    stream_id: str = field(default_factory=lambda: str(uuid4()))

    def __post_init__(self) -> None:
        for name in ("window", "vectors_per_message", "timeout_s"):
            value = getattr(self, name)
            if not value > 0:
                message = f"{name} {value!r}, expected more than 0"
                raise InvalidQueryError(message)

    @property
    def within_s(self) -> float:
        """Longest wait for the next answer over all calls of a stream, in seconds."""
        within_s = None if self.retry is None else self.retry.within_s
        return self.timeout_s if within_s is None else within_s
