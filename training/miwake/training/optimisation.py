"""Optimisers, learning-rate schedules and averaged weights, by name."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miwake.training.settings import OptimiserSettings

PLATEAU_PATIENCE = 2
"""Validations without a better score after which ``plateau`` lowers the learning rate."""


def optimiser(modules: Sequence[nn.Module], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters of ``modules``; only matrices and kernels decay, not biases and gains."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    match settings.optimiser:
        case "adam":
            return torch.optim.Adam(groups, lr=settings.lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=settings.lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
        case "radam":
            return torch.optim.RAdam(groups, lr=settings.lr, decoupled_weight_decay=True)
        case "ranger":
            return _ranger(groups, settings)
        case "schedule-free":
            return _schedule_free(groups, settings)


def _ranger(groups: list[dict[str, Any]], settings: OptimiserSettings) -> torch.optim.Optimizer:
    from pytorch_optimizer import Ranger  # noqa: PLC0415 - a second to load, and few runs need it

    found: torch.optim.Optimizer = Ranger(groups, lr=settings.lr, use_gc=False)
    return found


def _schedule_free(groups: list[dict[str, Any]], settings: OptimiserSettings) -> torch.optim.Optimizer:
    from schedulefree import AdamWScheduleFree  # noqa: PLC0415

    found = AdamWScheduleFree(groups, lr=settings.lr)
    found.train()
    of: torch.optim.Optimizer = found
    return of


def is_schedule_free(of: torch.optim.Optimizer) -> bool:
    """Return whether the weights of an optimiser are worth measuring only in its evaluation mode."""
    return hasattr(of, "eval")


@contextmanager
def evaluation_weights(of: torch.optim.Optimizer) -> Iterator[None]:
    """Hold the weights at which an optimiser is to be measured: for ``schedule-free`` its average, not its path."""
    if not is_schedule_free(of):
        yield
        return
    of.eval()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        of.train()  # type: ignore[attr-defined]


class Schedule:
    """The learning rate of an optimiser, to be advanced after every step; ``plateau`` hears of every validation.

    Its state is plain numbers: ``state_dict`` and ``load_state_dict``.
    """

    def __init__(self, of: torch.optim.Optimizer, settings: OptimiserSettings, n_steps: int) -> None:
        self._optimiser = of
        self._settings = settings
        self._n_steps = n_steps
        self._step = 0
        self._plateau = 1.0
        self._best = -math.inf
        self._n_worse = 0
        self._apply()

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def step(self) -> None:
        """Go on to the next step."""
        self._step += 1
        self._apply()

    def validated(self, score: float) -> None:
        """Take in a validation score, of which more is better."""
        if self._settings.schedule != "plateau":
            return
        self._n_worse = 0 if score > self._best else self._n_worse + 1
        self._best = max(self._best, score)
        if self._n_worse >= PLATEAU_PATIENCE:
            self._plateau *= self._settings.final_share ** (1 / self._settings.drops)
            self._n_worse = 0
            self._apply()

    def state_dict(self) -> dict[str, float]:
        """Return where the schedule stands."""
        return {"step": self._step, "plateau": self._plateau, "best": self._best, "n_worse": self._n_worse}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go to where another schedule of the same settings stood."""
        self._step, self._n_worse = int(state["step"]), int(state["n_worse"])
        self._plateau, self._best = state["plateau"], state["best"]
        self._apply()

    def _apply(self) -> None:
        lr = self._settings.lr * (learning_rate_share(self._settings, self._step, self._n_steps) * self._plateau)
        for group in self._optimiser.param_groups:
            group["lr"] = lr


def learning_rate_share(settings: OptimiserSettings, step: int, n_steps: int) -> float:
    """Return the share of the greatest learning rate for step ``step`` (from 0) of ``n_steps``; without ``plateau``.

    Examples
    --------
    >>> from miwake.training.presets import preset
    >>> cosine = preset("best").settings.optimiser
    >>> [round(learning_rate_share(cosine, step, 100), 2) for step in (0, 9, 10, 55, 99)]
    [0.09, 0.91, 1.0, 0.5, 0.0]
    """
    n_up = max(settings.warm_up * n_steps, 1.0) if settings.warm_up else 0.0
    if step < n_up:
        return (step + 1) / (n_up + 1)
    progress = min((step - n_up) / max(n_steps - n_up, 1.0), 1.0)
    match settings.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "exponential":
            return float(settings.final_share**progress)
        case "step":
            n_dropped = min(math.floor(progress * (settings.drops + 1)), settings.drops)
            return float(settings.final_share ** (n_dropped / settings.drops))
        case "constant" | "plateau":
            return 1.0


class WeightAverage:
    """The exponential moving average of a module's weights and batch statistics, or the module itself at decay 0."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._average = None
        if decay > 0:
            average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(module, multi_avg_fn=average, use_buffers=True)

    @property
    def module(self) -> nn.Module:
        """The averaged module."""
        return self._module if self._average is None else self._average.module

    def update(self) -> None:
        """Take the module's weights in, after a step."""
        if self._average is not None:
            self._average.update_parameters(self._module)

    def state_dict(self) -> dict[str, Any]:
        """Return the average, empty where there is none."""
        return {} if self._average is None else self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with another's average."""
        if self._average is not None:
            self._average.load_state_dict(state)
