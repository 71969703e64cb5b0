"""Optimisers, learning-rate schedules and averaged weights, by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.training.presets import OptimiserSettings

WARM_UP = 0.1
"""Share of the steps in which the learning rate of ``one-cycle`` rises."""


def optimiser(modules: Sequence[nn.Module], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters of ``modules``; only matrices and kernels decay, not biases and gains."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[settings.optimiser](groups, lr=settings.lr)


def schedule(of: torch.optim.Optimizer, settings: OptimiserSettings, n_steps: int) -> LambdaLR:
    """Return the schedule of an optimiser's learning rate, to be advanced after every step."""
    return LambdaLR(of, lambda step: learning_rate_share(settings.schedule, step, n_steps))


def learning_rate_share(name: str, step: int, n_steps: int) -> float:
    """Return the share of the greatest learning rate for step ``step`` (from 0) of ``n_steps``.

    Examples
    --------
    >>> [round(learning_rate_share("one-cycle", step, 100), 2) for step in (0, 9, 10, 55, 99)]
    [0.09, 0.91, 1.0, 0.5, 0.0]
    """
    if name == "constant":
        return 1.0
    n_up = max(WARM_UP * n_steps, 1.0)
    if step < n_up:
        return (step + 1) / (n_up + 1)
    return 0.5 * (1 + math.cos(math.pi * min((step - n_up) / max(n_steps - n_up, 1.0), 1.0)))


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
