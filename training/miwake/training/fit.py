"""Fitting an embedder: seeded, budgeted in steps, the best checkpoint chosen on parts that were not fitted on."""

from __future__ import annotations

import copy
import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from miwake.training.augmentation import augment
from miwake.training.errors import DivergedError
from miwake.training.losses import loss_of
from miwake.training.mirrors import ALLOWED_MIRRORS, Mirror
from miwake.training.networks import Embedder, build
from miwake.training.optimisation import WeightAverage, optimiser, schedule
from miwake.training.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from miwake.training.division import TrainingRows
    from miwake.training.presets import Settings
    from miwake.training.retrieval import RetrievalScore

N_VALIDATIONS = 10
"""Checkpoints that are measured in a run, evenly spread; the last is the end."""

REPORT_EVERY = 20
"""Steps between two reports."""

MIRRORS_MEASURED_AT = 0.2
"""Share of the steps after which mirrorings are measured: late enough to know the classes, early enough to gain."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: steps done of all, mean loss since the last report, and the score of a validation, if any."""

    step: int
    n_steps: int
    loss: float
    is_validation: bool = False
    score: RetrievalScore | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted embedder.

    Attributes
    ----------
    embedder : Embedder
    step, n_steps : int
        The step it is of, and how many were taken.
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


def fit(
    rows: TrainingRows, settings: Settings, *, seed: int = 0, report: Callable[[Standing], None] = lambda _: None
) -> Fitted:
    """Fit an embedder to ``rows.fit``; the same rows, settings, seed and machine give the same weights.

    Raises
    ------
    DivergedError
        If the loss is no longer finite.
    """
    with _threads(settings.threads), _seeded(seed):
        return _Run(rows, settings, seed).best(report)


class _Run:
    """The state of one run: data, network, loss, optimiser."""

    def __init__(self, rows: TrainingRows, settings: Settings, seed: int) -> None:
        self.rows = rows
        self.settings = settings
        self.generator = torch.Generator().manual_seed(seed)
        self.n_steps = settings.optimiser.budget(len(rows.fit))
        self.embedder = Embedder(build(rows.fit.heat_map_shape, settings.network), rows.value_range)
        self.vectors = self.embedder.scale(torch.from_numpy(rows.fit.vectors))
        self.classes = torch.from_numpy(np.unique(rows.fit.labels, return_inverse=True)[1])
        self.chances = sampling_chances(self.classes.numpy(), settings.augmentation.balance)
        self.loss = loss_of(settings, self.vectors, self.classes, self.generator)
        self.average = WeightAverage(self.embedder.body, settings.optimiser.averaging)
        self.optimiser = optimiser([self.embedder.body, self.loss], settings.optimiser)
        self.schedule = schedule(self.optimiser, settings.optimiser, self.n_steps)
        self.validation = Validation(rows, seed)
        self.mirrors = ALLOWED_MIRRORS.get(settings.augmentation.mirrors, ())

    def best(self, report: Callable[[Standing], None]) -> Fitted:
        """Take all steps and return the best checkpoint, of equals the last."""
        validate_at = {math.ceil(self.n_steps * part / N_VALIDATIONS) for part in range(1, N_VALIDATIONS + 1)}
        measure_mirrors_at = math.ceil(self.n_steps * MIRRORS_MEASURED_AT)
        best = self._checkpoint(0)
        losses: list[float] = []
        for step in range(1, self.n_steps + 1):
            losses.append(self._step(step))
            if step == measure_mirrors_at and self.settings.augmentation.mirrors == "measured":
                self.mirrors = self.validation.harmless_mirrors(self._checkpoint(step).embedder)
            if step in validate_at:
                candidate = self._checkpoint(step)
                report(Standing(step, self.n_steps, float(np.mean(losses)), True, candidate.score))
                losses.clear()
                best = max(best, candidate, key=lambda one: (_value(one), one.step))
            elif step % REPORT_EVERY == 0:
                report(Standing(step, self.n_steps, float(np.mean(losses))))
        return best

    def _step(self, step: int) -> float:
        settings = self.settings
        rows = torch.multinomial(
            self.chances, settings.optimiser.batch_size, replacement=True, generator=self.generator
        )
        shape = self.rows.fit.heat_map_shape
        vectors = augment(self.vectors[rows], shape, settings.augmentation, self.mirrors, self.generator)
        self.embedder.train()
        loss = self.loss(self.embedder.body, vectors, self.classes[rows])
        value = float(loss.item())
        if not math.isfinite(value):
            raise DivergedError(step=step, loss=value, lr=self.optimiser.param_groups[0]["lr"])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.average.update()
        return value

    def _checkpoint(self, step: int) -> Fitted:
        embedder = Embedder(copy.deepcopy(self.average.module), self.rows.value_range).eval()
        return Fitted(embedder, step, self.n_steps, self.validation.score(embedder), self.mirrors)


def sampling_chances(classes: NDArray[np.int64], balance: float) -> torch.Tensor:
    """Return how likely each row (N,) is drawn, up to a factor: its class's size to the power of -``balance``."""
    sizes = np.bincount(classes).astype(np.float64)
    return torch.from_numpy((sizes**-balance)[classes])


def _value(fitted: Fitted) -> float:
    return 0.0 if fitted.score is None else fitted.score.value


@contextmanager
def _threads(n_threads: int | None) -> Iterator[None]:
    """Let PyTorch use ``n_threads``, by default every core this process may run on, whatever the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's own generator, which draws the first weights, and give it back its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
