"""What a run tells: how it stands, and what it hands over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from miwake.training.mirrors import Mirror
    from miwake.training.networks import Embedder
    from miwake.training.retrieval import RetrievalScore


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands.

    Attributes
    ----------
    step, n_steps : int
        Steps done, of all.
    loss : float
        Mean since the last validation.
    is_validation : bool
    score : RetrievalScore or None
        Of a validation, where there are calibration parts.
    lr : float
        Learning rate of the next step.
    seconds : float
        Since the run began, without the time between an interruption and its resumption.
    """

    step: int
    n_steps: int
    loss: float
    is_validation: bool = False
    score: RetrievalScore | None = None
    lr: float = math.nan
    seconds: float = math.nan


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted embedder.

    Attributes
    ----------
    embedder : Embedder
    step, n_steps : int
        The step it is of, and how many the budget had.
    score : RetrievalScore or None
        On the calibration parts; None without any.
    mirrors : tuple of Mirror
        The mirrorings that augmentation used.
    """

    embedder: Embedder
    step: int
    n_steps: int
    score: RetrievalScore | None
    mirrors: tuple[Mirror, ...]

    @property
    def value(self) -> float:
        """The score as one number, of which more is better; 0 without calibration parts."""
        return 0.0 if self.score is None else self.score.value
