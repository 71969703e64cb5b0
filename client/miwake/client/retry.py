"""When a failed call is tried again, and how long it is waited before: exponential back-off with full jitter.

A crowd of clients whose server went down together would come back together; a wait that is drawn from 0 to its ceiling
spreads them best: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from miwake.client.errors import DrainingError, InvalidQueryError, OverloadedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.client.errors import MiwakeError

log = logging.getLogger("miwake.client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How a client goes on after a failure that another attempt may mend: no server, or one with too much to do.

    Attributes
    ----------
    within_s : float or None
        Of a stream: how long it may go without an answer that is due, all attempts together, in seconds; then the last
        failure is raised. None: as long as the call's ``timeout_s``. Other calls are tried again until their deadline.
    first_s, longest_s : float
        Ceilings of the first wait and of every wait, in seconds; the wait itself is drawn from 0 to its ceiling.
    multiplier : float
        By how much each ceiling is higher than the one before, at least 1.

    Raises
    ------
    InvalidQueryError
        If one of them makes no sense.
    """

    within_s: float | None = None
    first_s: float = 0.05
    longest_s: float = 2.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        bounds = {"first_s": 0.0, "longest_s": 0.0, "multiplier": 1.0}
        bounds |= {} if self.within_s is None else {"within_s": 0.0}
        for name, least in bounds.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least and value > 0):
                message = f"{name} {value!r}, expected " + ("at least 1" if least else "more than 0")
                raise InvalidQueryError(message)


DEFAULT_RETRY = Retry()
"""A server that is started again within the default timeout of 30 s is waited for."""


def is_worth_retrying(error: MiwakeError) -> bool:
    """Return whether the same call may succeed a little later."""
    return isinstance(error, (UnavailableError, OverloadedError))


def was_refused(error: MiwakeError) -> bool:
    """Return whether the server itself said no, so that nothing can have come of the call."""
    return bool(error.details.reason)


class BackOff:
    """The waits between attempts, from one success to the next.

    Parameters
    ----------
    retry : Retry
    draw : function
        Returns a float in [0, 1); by default at random.
    """

    def __init__(self, retry: Retry, *, draw: Callable[[], float] = random.random) -> None:
        self._retry = retry
        self._draw = draw
        self.n_failures = 0

    def reset(self) -> None:
        """Begin anew after a success."""
        self.n_failures = 0

    def wait_s(self, error: MiwakeError) -> float:
        """Return how long to wait after one more failure, in seconds.

        A server that said when to come back is asked no earlier, and what it said is spread by the jitter. The first
        time that a server says it drains, another is asked at once.
        """
        retry = self._retry
        is_first = not self.n_failures
        ceiling_s = retry.longest_s
        if self.n_failures * math.log(retry.multiplier) < math.log(1e6):
            ceiling_s = min(retry.longest_s, retry.first_s * retry.multiplier**self.n_failures)
        self.n_failures += 1
        if is_first and isinstance(error, DrainingError):
            return 0.0
        return (error.details.retry_after_s or 0.0) + self._draw() * ceiling_s


class Attempts:
    """The attempts of one unary call, all of them within its deadline.

    Parameters
    ----------
    retry : Retry or None
        None: there is one attempt.
    timeout_s : float
        Of all attempts together, in seconds.
    is_repeatable : bool
        Whether doing twice what the call does is the same as doing it once. Otherwise it is only tried again where the
        server itself refused.
    """

    def __init__(
        self,
        retry: Retry | None,
        timeout_s: float,
        *,
        is_repeatable: bool = True,
        now: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._back_off = None if retry is None else BackOff(retry, draw=draw)
        self._is_repeatable = is_repeatable
        self._now = now
        self._ends_at = now() + timeout_s

    def left_s(self) -> float:
        """Return how many seconds are left."""
        return max(0.0, self._ends_at - self._now())

    def wait_s(self, error: MiwakeError, cause: BaseException | None = None) -> float:
        """Return how long to wait before the next attempt, in seconds.

        Raises
        ------
        MiwakeError
            The error itself, from its cause, where another attempt would not help, must not be, or would come too late.
        """
        if self._back_off is not None and is_worth_retrying(error) and (self._is_repeatable or was_refused(error)):
            is_first = not self._back_off.n_failures
            wait_s = self._back_off.wait_s(error)
            if wait_s < self.left_s():
                if is_first:
                    log.warning("%s; asking again for up to %.3g s", error, self.left_s())
                return wait_s
        raise error from cause
