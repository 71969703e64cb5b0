"""What a run runs on: the GPU where there is one, in bfloat16 there only; its threads; its random numbers."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from miwake.training.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def device_of(name: str) -> torch.device:
    """Return the device that the setting names; ``auto`` is the GPU where there is one.

    Raises
    ------
    SettingsError
        If ``cuda`` is asked for and PyTorch sees none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        message = "setting device: 'cuda', but PyTorch sees no GPU; expected auto or cpu"
        raise SettingsError(message)
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def embedding_of(body: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return what a loss calls for embeddings: the network, on a GPU in bfloat16; embeddings are float32 either way."""
    if device.type != "cuda":
        return body
    return in_bfloat16(body, device)


def in_bfloat16(body: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return ``body`` under autocast to bfloat16, its result float32: distances need the digits, products do not."""

    def embed(vectors: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            embeddings: Tensor = body(vectors)
        return embeddings.float()

    return embed


def thread_count(n_threads: int | None) -> int:
    """Return how many threads PyTorch is to use: ``n_threads``, else every core this process may run on."""
    return n_threads or len(os.sched_getaffinity(0))


@contextmanager
def threads(n_threads: int | None) -> Iterator[None]:
    """Let PyTorch use ``n_threads``, by default every core this process may run on, whatever the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(thread_count(n_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's own generators, which draw the first weights, and give them back their state afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def random_states() -> dict[str, Tensor]:
    """Return the state of PyTorch's own generators; nothing in a run draws from Python's or numpy's global ones."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, Tensor]) -> None:
    """Go on where ``random_states`` stood."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
