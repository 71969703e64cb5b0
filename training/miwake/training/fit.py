"""Fitting an embedder: seeded, budgeted in steps, the best checkpoint chosen on parts that were not fitted on."""

from __future__ import annotations

import copy
import math
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from miwake.indexer.records import is_pass
from miwake.training.augmentation import augment
from miwake.training.checkpoints import run_identity
from miwake.training.device import device_of, embedding_of, seeded, threads
from miwake.training.errors import DivergedError
from miwake.training.fitted import Fitted, Standing
from miwake.training.losses.choice import loss_of
from miwake.training.losses.match import LabelledVectors
from miwake.training.mirrors import ALLOWED_MIRRORS
from miwake.training.networks import Embedder, build, settle_batch_statistics
from miwake.training.optimisation import Schedule, WeightAverage, evaluation_weights, is_schedule_free, optimiser
from miwake.training.planting import planted
from miwake.training.resumption import restore, state_of
from miwake.training.sampling import sampler_of
from miwake.training.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from miwake.training.checkpoints import Checkpoints
    from miwake.training.division import TrainingRows
    from miwake.training.settings import Settings

N_VALIDATIONS = 10
"""Checkpoints that are measured in a run, evenly spread; the last is the end."""

REPORT_EVERY = 20
"""Steps between two reports."""

MIRRORS_MEASURED_AT = 0.2
"""Share of the steps after which mirrorings are measured: late enough to know the classes, early enough to gain."""


def fit(
    rows: TrainingRows,
    settings: Settings,
    *,
    seed: int = 0,
    report: Callable[[Standing], None] = lambda _: None,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
) -> Fitted:
    """Fit an embedder to ``rows.fit``; the same rows, settings, seed and machine give the same weights.

    Parameters
    ----------
    report : callable
        Told how the run stands.
    checkpoints : Checkpoints or None
        Where the run is kept as it goes.
    resume : bool
        Go on from the checkpoint, to the same weights as if nothing had happened.

    Raises
    ------
    DivergedError
        If the loss or a gradient is no longer finite.
    ResumeError
        If there is nothing to go on from, or it is of other rows, settings or another seed.
    """
    with threads(settings.threads), seeded(seed):
        run = Run(rows, settings, seed)
        if resume and checkpoints is not None:
            restore(run, checkpoints.load(run.identity))
        return run.best(report, checkpoints)


class Run:
    """The state of one run: data, network, loss, optimiser, and how far it has come."""

    def __init__(self, rows: TrainingRows, settings: Settings, seed: int) -> None:
        self.rows = rows
        self.settings = settings
        self.seed = seed
        self.device = device_of(settings.device)
        self.generator = torch.Generator().manual_seed(seed)
        self.n_steps = settings.optimiser.budget(len(rows.fit))
        self.embedder = Embedder(build(rows.fit.heat_map_shape, settings.network), rows.value_range)
        known = np.unique(rows.fit.labels)
        self.n_classes = len(known)
        self.data = self._labelled(rows.fit.vectors, np.searchsorted(known, rows.fit.labels))
        self.is_pass = torch.from_numpy(is_pass(rows.fit.labels, rows.fit.pass_labels))
        self.sampler = sampler_of(settings, self.data.classes.numpy(), seed=seed, generator=self.generator)
        self.loss = loss_of(settings, self.data, self._calibration(known), self.generator).to(self.device)
        self.embedder.to(self.device)
        self.average = WeightAverage(self.embedder.body, settings.optimiser.averaging)
        self.optimiser = optimiser([self.embedder.body, self.loss], settings.optimiser)
        self.schedule = Schedule(self.optimiser, settings.optimiser, self.n_steps)
        self.validation = Validation(rows, seed)
        self.mirrors = ALLOWED_MIRRORS.get(settings.augmentation.mirrors, ())
        self.validate_at = _evenly(self.n_steps, N_VALIDATIONS)
        self.rounds_at = {0, *_evenly(self.n_steps, settings.loss.rounds)}
        self.step = 0
        self.losses: list[float] = []
        self.n_without_gain = 0
        self.best_value = 0.0
        self.seconds_before = 0.0
        self.started = time.monotonic()
        self.kept: Fitted | None = None

    def best(self, report: Callable[[Standing], None], checkpoints: Checkpoints | None) -> Fitted:
        """Take all steps and return the checkpoint that the settings keep: the best, of equals the last, or the end."""
        if self.kept is None:
            self.kept = self._measured()
            self.best_value = self.kept.value
        while self.step < self.n_steps and not self._is_hopeless():
            self._advance()
            is_validation = self.step in self.validate_at
            if is_validation:
                self._validate(report)
            elif self.step % REPORT_EVERY == 0:
                report(self._standing())
            if checkpoints is not None and (is_validation or self.step % REPORT_EVERY == 0) and checkpoints.is_due():
                checkpoints.save(self.identity, state_of(self))
        self.kept.embedder.to("cpu")
        return self.kept

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What makes another run the same one, by name."""
        return run_identity(self.rows, self.settings, self.seed)

    def _advance(self) -> None:
        """Take one step, and measure the mirrorings when their time has come."""
        if self.step in self.rounds_at:
            with evaluation_weights(self.optimiser):
                self.loss.begin_round(self.embedder.body.eval())
        self.step += 1
        self.losses.append(self._descend())
        at = math.ceil(self.n_steps * MIRRORS_MEASURED_AT)
        if self.step == at and self.settings.augmentation.mirrors == "measured":
            self.mirrors = self.validation.harmless_mirrors(self._embedder())

    def _validate(self, report: Callable[[Standing], None]) -> None:
        candidate = self._measured()
        report(self._standing(candidate))
        self.losses.clear()
        self.n_without_gain = 0 if candidate.value > self.best_value else self.n_without_gain + 1
        self.best_value = max(self.best_value, candidate.value)
        if candidate.score is not None:
            self.schedule.validated(candidate.score.value)
        if self.settings.optimiser.keep == "last" or candidate.value == self.best_value:
            self.kept = candidate

    def _is_hopeless(self) -> bool:
        patience = self.settings.optimiser.early_stop
        return patience is not None and len(self.rows.calibration) > 0 and self.n_without_gain >= patience

    def _descend(self) -> float:
        rows = self.sampler.batch(self.step)
        batch = self.batch(rows)
        self.embedder.train()
        body = embedding_of(self.embedder.body, self.device)
        loss = self.loss(body, batch.vectors.to(self.device), batch.classes.to(self.device))
        value = float(loss.item())
        self._refuse_infinite("loss", value, rows)
        self.optimiser.zero_grad()
        loss.backward()
        self._refuse_infinite("length of the gradient", self._gradient_length(), rows)
        self.optimiser.step()
        self.schedule.step()
        self.average.update()
        return value

    def batch(self, rows: torch.Tensor) -> LabelledVectors:
        """Return rows as they are trained on, augmented, and behind them copies of passes with a planted defect."""
        shape, settings = self.rows.fit.heat_map_shape, self.settings.augmentation
        vectors, classes = self.data.vectors[rows], self.data.classes[rows]
        n_planted = round(settings.planted * len(rows))
        if n_planted:
            passes = rows[self.is_pass[rows]]
            chosen = passes[torch.randperm(len(passes), generator=self.generator)[:n_planted]]
            vectors = torch.cat([vectors, planted(self.data.vectors[chosen], shape, self.generator)])
            classes = torch.cat([classes, torch.full_like(chosen, self.n_classes)])
        return LabelledVectors(augment(vectors, shape, settings, self.mirrors, self.generator), classes)

    def _gradient_length(self) -> float:
        parameters = (*self.embedder.parameters(), *self.loss.parameters())
        gradients = [one.grad for one in parameters if one.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def _refuse_infinite(self, what: str, value: float, rows: torch.Tensor) -> None:
        if not math.isfinite(value):
            row_ids = tuple(self.rows.fit.ids[row] for row in rows.tolist())
            raise DivergedError(step=self.step, what=what, value=value, lr=self.schedule.lr, row_ids=row_ids)

    def _standing(self, validated: Fitted | None = None) -> Standing:
        return Standing(
            step=self.step,
            n_steps=self.n_steps,
            loss=float(np.mean(self.losses)),
            is_validation=validated is not None,
            score=None if validated is None else validated.score,
            lr=self.schedule.lr,
            seconds=self.seconds(),
        )

    def seconds(self) -> float:
        """Return how long the run has worked, without the time between an interruption and its resumption."""
        return self.seconds_before + time.monotonic() - self.started

    def _embedder(self) -> Embedder:
        """Return a copy of the network as it is worth measuring: averaged, and at the optimiser's own average."""
        with evaluation_weights(self.optimiser):
            body = copy.deepcopy(self.average.module)
        if is_schedule_free(self.optimiser):
            settle_batch_statistics(body, self.data.vectors, self.device)
        return Embedder(body, self.rows.value_range).to(self.device).eval()

    def _measured(self) -> Fitted:
        embedder = self._embedder()
        return Fitted(embedder, self.step, self.n_steps, self.validation.score(embedder), self.mirrors)

    def _calibration(self, known: NDArray[np.int32]) -> LabelledVectors | None:
        """Return the calibration rows of labels that are fitted, None without any."""
        usable = np.isin(self.rows.calibration.labels, known)
        if not usable.any():
            return None
        records = self.rows.calibration.take(usable)
        return self._labelled(records.vectors, np.searchsorted(known, records.labels))

    def _labelled(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> LabelledVectors:
        return LabelledVectors(self.embedder.scale(torch.from_numpy(vectors)), torch.from_numpy(classes))


def _evenly(n_steps: int, n_times: int) -> set[int]:
    """Return the steps at which something happens ``n_times`` in a run, evenly spread; the last is the end."""
    return {math.ceil(n_steps * part / n_times) for part in range(1, n_times + 1)}
