"""What came of a stream: the running counts behind the live table and the summary."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from miwake.client.answers import Answer

N_RECENT = 10
"""Answers shown while streaming."""


@dataclass(slots=True)
class Tally:
    """Counts answers as they come.

    Attributes
    ----------
    n_answered, n_errors : int
        All answers, and those with an error instead of a verdict.
    n_labelled, n_right : int
        Verdicts whose true label is known, and those of them that have it.
    decisions : counts by name of the decision
    recent : the last answers, each with its true label or None
    """

    started_s: float = field(default_factory=perf_counter)
    n_answered: int = 0
    n_errors: int = 0
    n_labelled: int = 0
    n_right: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    recent: deque[tuple[Answer, int | None]] = field(default_factory=lambda: deque(maxlen=N_RECENT))

    def add(self, answer: Answer, expected_label: int | None) -> None:
        """Count an answer."""
        self.n_answered += 1
        self.recent.append((answer, expected_label))
        if answer.verdict is None:
            self.n_errors += 1
            return
        self.decisions[answer.verdict.decision.name] += 1
        if expected_label is not None:
            self.n_labelled += 1
            self.n_right += answer.verdict.label == expected_label

    @property
    def rate(self) -> float:
        """Answers a second since the start."""
        return self.n_answered / max(perf_counter() - self.started_s, 1e-9)

    def summary(self) -> str:
        """Return the outcome in one line."""
        texts = [f"{self.n_answered} answers, {self.rate:.0f}/s"]
        texts += [f"{count} {name}" for name, count in sorted(self.decisions.items())]
        texts.append(f"{self.n_errors} errors")
        if self.n_labelled:
            texts.append(f"{self.n_right} of {self.n_labelled} labels right ({self.n_right / self.n_labelled:.1%})")
        if self.recent:
            provenance = self.recent[-1][0].provenance
            texts.append(f"station {provenance.station}, generation {provenance.generation}")
        return "; ".join(texts)
