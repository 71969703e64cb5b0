from __future__ import annotations

from typing import Any

import pytest

from miwake.client.errors import (
    DrainingError,
    ErrorDetails,
    InvalidQueryError,
    MiwakeError,
    NotFoundError,
    OverloadedError,
    ServerError,
    UnavailableError,
)
from miwake.client.retry import Attempts, BackOff, Retry

GONE = UnavailableError("gone")
BUSY = OverloadedError("busy", details=ErrorDetails(reason="OVERLOADED", retry_after_s=0.25))


def always(share: float) -> Any:
    return lambda: share


def attempts(retry: Retry | None = None, *, is_repeatable: bool = True, draw: float = 0.0) -> Attempts:
    return Attempts(retry, 10.0, is_repeatable=is_repeatable, now=always(100.0), draw=always(draw))


def test_waits_grow_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    back_off = BackOff(Retry(first_s=0.1, longest_s=0.5, multiplier=2), draw=always(1.0))

    assert [back_off.wait_s(GONE) for _ in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])
    back_off.reset()
    assert back_off.wait_s(GONE) == pytest.approx(0.1)


def test_the_jitter_is_full() -> None:
    assert BackOff(Retry(first_s=0.1), draw=always(0.0)).wait_s(GONE) == 0.0
    assert BackOff(Retry(first_s=0.1), draw=always(0.5)).wait_s(GONE) == pytest.approx(0.05)


def test_waits_stay_finite_however_often_it_fails() -> None:
    back_off = BackOff(Retry(longest_s=3.0, multiplier=10), draw=always(1.0))

    assert [back_off.wait_s(GONE) for _ in range(5000)][-1] == 3.0


def test_a_server_that_says_when_to_come_back_is_not_asked_before() -> None:
    assert BackOff(Retry(first_s=0.1), draw=always(0.5)).wait_s(BUSY) == pytest.approx(0.30)


def test_the_server_after_a_draining_one_is_asked_at_once_but_only_once() -> None:
    draining = DrainingError(n_accepted=1, n_taken=2)
    back_off = BackOff(Retry(first_s=0.1), draw=always(1.0))

    assert back_off.wait_s(draining) == 0.0
    assert back_off.wait_s(draining) > 0.0


@pytest.mark.parametrize("error", [GONE, BUSY, DrainingError(n_accepted=0, n_taken=1)])
def test_what_may_pass_is_tried_again(error: MiwakeError) -> None:
    assert attempts(Retry()).wait_s(error) >= 0.0


@pytest.mark.parametrize("error", [InvalidQueryError("bad"), NotFoundError("no"), ServerError("failed")])
def test_what_another_attempt_cannot_mend_is_raised_at_once(error: MiwakeError) -> None:
    with pytest.raises(type(error)) as caught:
        attempts(Retry()).wait_s(error)
    assert caught.value is error


def test_without_retry_every_failure_is_raised() -> None:
    with pytest.raises(UnavailableError):
        attempts(None).wait_s(GONE)


def test_what_must_not_happen_twice_is_tried_again_only_where_the_server_refused() -> None:
    assert attempts(Retry(), is_repeatable=False).wait_s(BUSY) == pytest.approx(0.25)
    with pytest.raises(UnavailableError):
        attempts(Retry(), is_repeatable=False).wait_s(GONE)


def test_an_attempt_that_would_come_after_the_deadline_is_not_waited_for() -> None:
    late = OverloadedError("busy", details=ErrorDetails(reason="OVERLOADED", retry_after_s=10.0))

    with pytest.raises(OverloadedError):
        attempts(Retry()).wait_s(late)


@pytest.mark.parametrize(
    ("name", "value"),
    [("within_s", 0), ("first_s", -1), ("longest_s", float("inf")), ("multiplier", 0.5), ("multiplier", float("nan"))],
)
def test_settings_that_cannot_work_are_refused(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}

    with pytest.raises(InvalidQueryError, match=f"{name} {value}, expected "):
        Retry(**settings)
