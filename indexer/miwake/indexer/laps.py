"""How long the stages of a batch take, one after another: a look at the clock for each."""

from __future__ import annotations

from time import perf_counter

EMBED, SEARCH, RERANK, RESIDUALS, JUDGE = "embed", "search", "rerank", "residuals", "judge"
"""Stages of a verdict: embedding vectors; finding candidates; comparing them by SOART3; comparing maps; all else."""


class Laps:
    """Counts the time since the end of the stage before to the one that ends.

    Attributes
    ----------
    seconds : dict of stage to float
        A stage that has ended several times has the sum.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = perf_counter()

    def end(self, stage: str) -> None:
        """End a stage; the next begins."""
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now
