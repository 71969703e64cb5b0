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
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from miwake.training.augmentation import augment
from miwake.training.errors import DivergedError
from miwake.training.losses import AnchorTripletLoss, ClassifyContrastLoss
from miwake.training.networks import Embedder, build
from miwake.training.retrieval import RetrievalScore, retrieval_score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.training.division import TrainingRows
    from miwake.training.presets import LossSettings, OptimiserSettings, Settings

N_VALIDATIONS = 8
"""Checkpoints that are measured in a run, evenly spread; the last is the end."""

MOST_VALIDATION_ROWS = 2000
"""Queries, and references, of a validation: more would cost more than they tell."""

REPORT_EVERY = 20
"""Steps between two reports."""

WARM_UP = 0.1
"""Share of the steps in which the learning rate of ``one-cycle`` rises."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: steps done of all, mean loss since the last report, and the score of a validation, if any."""

    step: int
    n_steps: int
    loss: float
    is_validation: bool
    score: RetrievalScore | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted embedder, with the step it is of and its score on the calibration parts (None without any)."""

    embedder: Embedder
    step: int
    n_steps: int
    score: RetrievalScore | None


def fit(
    rows: TrainingRows, settings: Settings, *, seed: int = 0, report: Callable[[Standing], None] = lambda _: None
) -> Fitted:
    """Fit an embedder to ``rows.fit``; the same rows, settings, seed and machine give the same weights.

    Parameters
    ----------
    report : callable
        Told of each validation.

    Raises
    ------
    DivergedError
        If the loss is no longer finite.
    """
    with _threads(settings.threads), _seeded(seed):
        return _Run(rows, settings, seed).go(report)


class _Run:
    """The state of one run: data, network, loss, optimiser and the best checkpoint so far."""

    def __init__(self, rows: TrainingRows, settings: Settings, seed: int) -> None:
        self.rows = rows
        self.settings = settings
        self.shape = rows.fit.heat_map_shape
        self.generator = torch.Generator().manual_seed(seed)
        self.n_steps = settings.optimiser.budget(len(rows.fit))
        self.embedder = Embedder(build(self.shape, settings.network), rows.value_range)
        self.vectors = self.embedder.scale(torch.from_numpy(rows.fit.vectors))
        _, classes = np.unique(rows.fit.labels, return_inverse=True)
        self.classes = torch.from_numpy(classes)
        self.sampling = _sampling_weights(classes, settings.augmentation.balance)
        self.loss = _loss(settings.loss, self.vectors, self.classes, settings.network.n_dimensions, self.generator)
        self.averaged = _averaged(self.embedder.body, settings.optimiser.averaging)
        self.optimiser = _optimiser([self.embedder.body, self.loss], settings.optimiser)
        self.validation = _Validation(rows, np.random.default_rng(seed))

    def go(self, report: Callable[[Standing], None]) -> Fitted:
        schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_share(self.settings.optimiser.schedule, step, self.n_steps)
        )
        validate_at = {math.ceil(self.n_steps * k / N_VALIDATIONS) for k in range(1, N_VALIDATIONS + 1)}
        best: Fitted | None = None
        losses: list[float] = []
        for step in range(1, self.n_steps + 1):
            losses.append(self._step(step))
            schedule.step()
            if step in validate_at:
                candidate = self._candidate(step)
                report(Standing(step, self.n_steps, float(np.mean(losses)), True, candidate.score))
                losses.clear()
                if best is None or _value(candidate) >= _value(best):
                    best = candidate
            elif step % REPORT_EVERY == 0:
                report(Standing(step, self.n_steps, float(np.mean(losses)), False, None))
        if best is None:
            message = f"a budget of {self.n_steps} steps, expected at least one"
            raise ValueError(message)
        return best

    def _step(self, step: int) -> float:
        chosen = torch.multinomial(
            self.sampling, self.settings.optimiser.batch_size, replacement=True, generator=self.generator
        )
        vectors = augment(self.vectors[chosen], self.shape, self.settings.augmentation, self.generator)
        self.embedder.body.train()
        loss: Tensor = self.loss(self.embedder.body, vectors, self.classes[chosen])
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(step=step, loss=value, lr=self.optimiser.param_groups[0]["lr"])
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.embedder.body)
        return value

    def _candidate(self, step: int) -> Fitted:
        body = self.embedder.body if self.averaged is None else self.averaged.module
        embedder = Embedder(copy.deepcopy(body), self.rows.value_range).eval()
        return Fitted(embedder, step, self.n_steps, self.validation.score(embedder))


class _Validation:
    """Calibration rows as queries against fit rows as references, both thinned to what a validation may cost."""

    def __init__(self, rows: TrainingRows, generator: np.random.Generator) -> None:
        self.queries = _thinned(rows.calibration, generator)
        self.references = _thinned(rows.fit, generator)

    def score(self, embedder: Embedder) -> RetrievalScore | None:
        if len(self.queries) == 0:
            return None
        return retrieval_score(
            embed(embedder, self.queries.vectors),
            self.queries.labels,
            embed(embedder, self.references.vectors),
            self.references.labels,
        )


def embed(embedder: nn.Module, vectors: NDArray[np.float32], *, batch_size: int = 256) -> NDArray[np.float32]:
    """Return the embeddings (N, D) of raw vectors (N, V) by PyTorch, the network as it stands."""
    with torch.inference_mode():
        batches = [embedder(batch) for batch in torch.split(torch.from_numpy(vectors), batch_size)]
    embeddings: NDArray[np.float32] = torch.cat(batches).numpy()
    return embeddings


def learning_rate_share(schedule: str, step: int, n_steps: int) -> float:
    """Return the share of the greatest learning rate that step ``step`` (from 0) of ``n_steps`` takes."""
    if schedule == "constant":
        return 1.0
    n_up = max(WARM_UP * n_steps, 1.0)
    if step < n_up:
        return (step + 1) / (n_up + 1)
    return 0.5 * (1 + math.cos(math.pi * min((step - n_up) / max(n_steps - n_up, 1.0), 1.0)))


def _value(candidate: Fitted) -> float:
    return candidate.score.value if candidate.score is not None else 0.0


def _thinned(records: Records, generator: np.random.Generator) -> Records:
    if len(records) <= MOST_VALIDATION_ROWS:
        return records
    return records.take(np.sort(generator.choice(len(records), MOST_VALIDATION_ROWS, replace=False)))


def _sampling_weights(classes: NDArray[np.int64], balance: float) -> Tensor:
    sizes = np.bincount(classes).astype(np.float64)
    return torch.from_numpy((sizes**-balance)[classes])


def _loss(
    settings: LossSettings, vectors: Tensor, classes: Tensor, n_dimensions: int, generator: torch.Generator
) -> AnchorTripletLoss | ClassifyContrastLoss:
    n_classes = int(classes.max()) + 1
    if settings.loss == "classify-contrast":
        return ClassifyContrastLoss(n_classes, n_dimensions, settings)
    means = torch.stack([vectors[classes == one].double().mean(dim=0).float() for one in range(n_classes)])
    return AnchorTripletLoss(means, margin=settings.margin, generator=generator)


def _averaged(body: nn.Module, decay: float) -> AveragedModel | None:
    if decay == 0:
        return None
    return AveragedModel(body, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


def _optimiser(modules: list[nn.Module], settings: OptimiserSettings) -> torch.optim.Optimizer:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[settings.optimiser](groups, lr=settings.lr)


@contextmanager
def _threads(n_threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's own generator (initial weights) and give it back its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
