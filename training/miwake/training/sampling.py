"""Which rows make a batch."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils import common_functions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from miwake.training.settings import Settings


class Sampler(Protocol):
    """Draws the rows of the batch of every step, from 1."""

    def batch(self, step: int, /) -> torch.Tensor:
        """Return row numbers (B,) int64."""
        ...


class WeightedSampler:
    """Rows by their chances, each draw for itself; goes on where the generator stands."""

    def __init__(self, chances: torch.Tensor, batch_size: int, generator: torch.Generator) -> None:
        self._chances = chances
        self._batch_size = batch_size
        self._generator = generator

    def batch(self, step: int) -> torch.Tensor:  # noqa: ARG002 - the generator knows
        """Return row numbers (B,) int64."""
        return torch.multinomial(self._chances, self._batch_size, replacement=True, generator=self._generator)


class ClassesInTurn:
    """``per_class`` rows of each class in turn, the classes shuffled, by ``MPerClassSampler``.

    Rounds are seeded by the seed and their number, so that a step's batch follows from the step alone: a run that goes
    on after an interruption draws what an unbroken one would.
    """

    def __init__(self, classes: NDArray[np.int64], *, per_class: int, batch_size: int, seed: int) -> None:
        one_pass = per_class * len(np.unique(classes))
        whole_batches = math.lcm(one_pass, batch_size)
        length = whole_batches * math.ceil(len(classes) / whole_batches)
        self._sampler = MPerClassSampler(classes, per_class, length_before_new_iter=length)
        self._order = sorted(self._sampler.labels)
        self._batches = length // batch_size
        self._seed = seed
        self._drawn_for = -1
        self._rows = torch.zeros(0)

    def batch(self, step: int) -> torch.Tensor:
        """Return row numbers (B,) int64."""
        number, place = divmod(step - 1, self._batches)
        if number != self._drawn_for:
            # The sampler shuffles its own list of classes, so that each round would begin where the last one left it.
            self._sampler.labels = list(self._order)
            with _library_seeded(self._seed, number):
                drawn = list(self._sampler)
            self._rows = torch.tensor(drawn, dtype=torch.int64).reshape(self._batches, -1)
            self._drawn_for = number
        return self._rows[place]


def sampler_of(
    settings: Settings, classes: NDArray[np.int64], *, seed: int, generator: torch.Generator
) -> WeightedSampler | ClassesInTurn:
    """Return the sampler that ``settings`` name, for fit rows of classes (N,), 0 … C-1."""
    batch_size = settings.optimiser.batch_size
    if settings.sampling.sampler == "m-per-class":
        return ClassesInTurn(classes, per_class=settings.sampling.per_class, batch_size=batch_size, seed=seed)
    chances = sampling_chances(classes, settings.augmentation.balance)
    return WeightedSampler(chances, batch_size, generator)


def sampling_chances(classes: NDArray[np.int64], balance: float) -> torch.Tensor:
    """Return how likely each row (N,) is drawn, up to a factor: its class's size to the power of -``balance``."""
    sizes = np.bincount(classes).astype(np.float64)
    return torch.from_numpy((sizes**-balance)[classes])


@contextmanager
def _library_seeded(seed: int, number: int) -> Iterator[None]:
    """Let pytorch-metric-learning draw from a generator of ours, not from numpy's global one, the way it documents."""
    before = common_functions.NUMPY_RANDOM
    common_functions.NUMPY_RANDOM = np.random.default_rng([seed, number])
    try:
        yield
    finally:
        common_functions.NUMPY_RANDOM = before
