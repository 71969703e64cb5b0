"""Sending the held-out vectors through a running server, and timing it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import track

from demonstration.cases import Answered
from demonstration.processes import Step, StepError
from miwake.client import Client, Inspection, MiwakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from miwake.client import Answer, Verdict
    from miwake.indexer.records import Records

N_TIMED = 200
N_WARMING = 10
LATENCY_METHOD = (
    f"round trip of Classify with one vector, one call after the other, {N_TIMED} held-out vectors after {N_WARMING} "
    "to warm up; vectors_per_second is that of one saturated Inspect stream of all held-out vectors"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What came back for the held-out vectors.

    Attributes
    ----------
    answers : tuple of Answer
        One for each held-out vector, in order.
    stream_s : float
        From the first vector handed over to the last answer, in seconds.
    latencies_ms : (L,) float64
        By ``LATENCY_METHOD``.
    """

    answers: tuple[Answer, ...]
    stream_s: float
    latencies_ms: NDArray[np.float64]

    def verdicts(self) -> list[tuple[int, Verdict]]:
        """Return the held-out row and the verdict of every vector that got one."""
        return [(row, answer.verdict) for row, answer in enumerate(self.answers) if answer.verdict is not None]

    def errors(self) -> list[tuple[str, str]]:
        """Return the id and the message of every vector that got an error."""
        return [(answer.id, answer.error.message) for answer in self.answers if answer.error is not None]


def stream(address: str, held_out: Records, console: Console) -> Streamed:
    """Stream all held-out vectors through the server at ``address``, then time some of them one by one.

    Raises
    ------
    StepError
        If the server cannot be reached, or does not answer every vector once, in order.
    """
    try:
        with Client(address) as client:
            answers, stream_s = _stream_all(client, held_out, console)
            latencies_ms = _time_single(client, held_out)
    except MiwakeError as error:
        raise StepError(Step.STREAM, str(error)) from error
    return Streamed(answers=answers, stream_s=stream_s, latencies_ms=latencies_ms)


def check(streamed: Streamed, training: Records) -> None:
    """Check that one generation answered everything, and that only training rows stood as references.

    Raises
    ------
    StepError
        If not.
    """
    generations = {answer.provenance.generation for answer in streamed.answers}
    if len(generations) != 1:
        raise StepError(Step.STREAM, f"answers of generations {sorted(generations)}, expected one generation")
    named = {reference for _, verdict in streamed.verdicts() for reference in verdict.neighbours.ids}
    strangers = sorted(named.difference(training.ids))
    if strangers:
        message = f"{len(strangers)} references are no training rows, the first is {strangers[0]}"
        raise StepError(Step.STREAM, message)


def columns(streamed: Streamed, held_out: Records, known: tuple[int, ...], passes: tuple[int, ...]) -> Answered:
    """Return the verdicts by column, beside the truth."""
    verdicts = streamed.verdicts()
    rows = np.array([row for row, _ in verdicts], dtype=np.int64)
    return Answered(
        rows=rows,
        true_labels=held_out.labels[rows],
        labels=np.array([verdict.label for _, verdict in verdicts], dtype=np.int32),
        decisions=tuple(verdict.decision.name for _, verdict in verdicts),
        probabilities=np.array([verdict.probability for _, verdict in verdicts], dtype=np.float64),
        known_labels=known,
        pass_labels=passes,
    )


def _templates(held_out: Records) -> list[NDArray[np.float32] | None]:
    if held_out.templates is None:
        return [None] * len(held_out)
    return [None if np.isnan(template[0]) else template for template in held_out.templates]


def _stream_all(client: Client, held_out: Records, console: Console) -> tuple[tuple[Answer, ...], float]:
    items = [
        Inspection(vector=vector, template=template, id=name)
        for vector, template, name in zip(held_out.vectors, _templates(held_out), held_out.ids, strict=True)
    ]
    begin = time.perf_counter()
    arriving = client.inspect(items)
    shown = track(
        arriving, "streaming", total=len(items), console=console, transient=True, disable=not console.is_terminal
    )
    answers = tuple(shown)
    seconds = time.perf_counter() - begin
    if tuple(answer.id for answer in answers) != held_out.ids:
        raise StepError(Step.STREAM, f"{len(answers)} answers to {len(items)} vectors, or not in their order")
    return answers, seconds


def _time_single(client: Client, held_out: Records) -> NDArray[np.float64]:
    """Return the round trips of single vectors, spread over the held-out rows, in milliseconds."""
    rows = np.linspace(0, len(held_out) - 1, N_WARMING + N_TIMED).astype(np.intp)
    times = []
    for vector in held_out.vectors[rows]:
        begin = time.perf_counter()
        client.classify(vector[np.newaxis])
        times.append(1000.0 * (time.perf_counter() - begin))
    return np.array(times[N_WARMING:])
