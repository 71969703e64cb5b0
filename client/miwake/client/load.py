"""Load on a server, and how fast it answers: what ``miwake-client bench`` does.

The load is open: when a vector is to be sent does not depend on when the last was answered, and its latency counts from
when it was *to be* sent. A server that stalls is seen in every vector that would have come meanwhile. A load that waits
for its answers leaves those out: https://www.scylladb.com/2021/04/22/on-coordinated-omission/
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.client.answers import ItemErrorReason
from miwake.client.options import Evidence
from miwake.client.pacing import arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miwake.client.client import Client
    from miwake.client.inspections import Inspection, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent.

    Attributes
    ----------
    rate : float or None
        Vectors a second over all streams; None: as fast as the server takes them.
    duration_s : float
    poisson : bool
        Whether they arrive at random; else evenly.
    n_streams : int
    answer_within_s : float or None
        What has waited longer in the server is given up.
    seed : int
        Of the times of arrival.
    """

    rate: float | None
    duration_s: float
    poisson: bool = True
    n_streams: int = 1
    answer_within_s: float | None = None
    seed: int = 0


@dataclass(slots=True)
class Outcome:
    """What came of one stream.

    Attributes
    ----------
    latencies_s : list of float
        Of each answer, from when its vector was to be sent.
    most_behind_s : float
        How late the latest vector was taken from the producer: what the client's window or the network held up.
    n_errors, n_shed : int
        Answers with an error; those given up because they had waited too long are shed and no errors.
    n_resumed : int
        How often the stream broke and went on.
    """

    latencies_s: list[float] = field(default_factory=list)
    most_behind_s: float = 0.0
    n_errors: int = 0
    n_shed: int = 0
    n_resumed: int = 0


def run_load(client: Client, items: Sequence[Vector | Inspection], load: Load) -> dict[str, Any]:
    """Put a load on a server, and return what came of it as plain values for a report.

    Parameters
    ----------
    client : Client
    items : sequence of (V,) arrays or Inspection
        Sent in turn, from the first again after the last.
    load : Load

    Raises
    ------
    MiwakeError
        If a stream fails.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(load.n_streams, thread_name_prefix="load") as pool:
        running = [pool.submit(_run_stream, client, items, load, place, started) for place in range(load.n_streams)]
        outcomes = [one.result() for one in running]
    return _report(load, outcomes, time.perf_counter() - started)


def _run_stream(
    client: Client, items: Sequence[Vector | Inspection], load: Load, place: int, started: float
) -> Outcome:
    outcome = Outcome()
    due: deque[float] = deque()

    def producer() -> Iterator[Vector | Inspection]:
        for turn, at_s in enumerate(_due_times(load, place, started)):
            early_s = at_s - time.perf_counter()
            if early_s > 0:
                time.sleep(early_s)
            outcome.most_behind_s = max(outcome.most_behind_s, -early_s)
            due.append(at_s)
            yield items[(place + turn) % len(items)]

    with client.inspect(producer(), evidence=Evidence(answer_within_s=load.answer_within_s)) as stream:
        for answer in stream:
            outcome.latencies_s.append(time.perf_counter() - due.popleft())
            if answer.error is not None:
                is_shed = answer.error.reason is ItemErrorReason.EXPIRED
                outcome.n_shed += is_shed
                outcome.n_errors += not is_shed
        outcome.n_resumed = stream.n_resumed
    return outcome


def _due_times(load: Load, place: int, started: float) -> Iterator[float]:
    """Yield when a stream's vectors are to be sent; without a rate, each as soon as it can be."""
    if load.rate is None:
        while (now := time.perf_counter()) < started + load.duration_s:
            yield now
        return
    rate = load.rate / load.n_streams
    phase_s = 0.0 if load.poisson else place / load.rate
    for at_s in arrivals(rate, poisson=load.poisson, seed=load.seed + place):
        if at_s + phase_s >= load.duration_s:
            return
        yield started + at_s + phase_s


def _report(load: Load, outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    latencies_ms = 1e3 * np.concatenate([np.array(outcome.latencies_s) for outcome in outcomes])
    n_answered = len(latencies_ms)
    n_failed = sum(outcome.n_errors + outcome.n_shed for outcome in outcomes)
    quantiles = np.quantile(latencies_ms, (0.5, 0.9, 0.99, 1.0)).tolist() if n_answered else [None] * 4
    return {
        "rate": load.rate,
        "arrivals": None if load.rate is None else "poisson" if load.poisson else "even",
        "streams": load.n_streams,
        "seconds": round(seconds, 3),
        "answers": n_answered,
        "verdicts": n_answered - n_failed,
        "answers_per_second": round(n_answered / seconds, 1),
        "latency_ms": dict(zip(("p50", "p90", "p99", "max"), map(_rounded, quantiles), strict=True)),
        "latency_from": "sending" if load.rate is None else "intended sending",
        "most_behind_ms": _rounded(1e3 * max(outcome.most_behind_s for outcome in outcomes)),
        "errors": sum(outcome.n_errors for outcome in outcomes),
        "shed": sum(outcome.n_shed for outcome in outcomes),
        "resumed": sum(outcome.n_resumed for outcome in outcomes),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


def load_text(report: dict[str, Any]) -> str:
    """Return a report for people."""
    wanted = "as fast as it goes" if report["rate"] is None else f"{report['rate']:g}/s wanted, {report['arrivals']}"
    lines = [
        f"{report['answers']} answers in {report['seconds']:g} s: {report['answers_per_second']:g}/s ({wanted}, "
        f"{report['streams']} streams)",
        f"latency from {report['latency_from']}: "
        + ", ".join(f"{name} {value:g} ms" for name, value in report["latency_ms"].items() if value is not None),
        f"{report['errors']} errors, {report['shed']} shed, {report['resumed']} times resumed; "
        f"sending was {report['most_behind_ms']:g} ms behind at most",
    ]
    return "\n".join(lines)
