"""Everything that the steps of a run still to come depend on, as plain values and tensors, and back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from miwake.training.device import random_states, restore_random_states
from miwake.training.fitted import Fitted
from miwake.training.mirrors import Mirror
from miwake.training.networks import Embedder
from miwake.training.retrieval import RetrievalScore

if TYPE_CHECKING:
    from miwake.training.fit import Run


def state_of(run: Run) -> dict[str, Any]:
    """Return where a run stands, once its first weights have been measured."""
    kept = run.kept
    assert kept is not None  # noqa: S101 - measured before the first step
    return {
        **{name: part.state_dict() for name, part in _parts(run).items()},
        "generator": run.generator.get_state(),
        "random": random_states(),
        "mirrors": [mirror.value for mirror in run.mirrors],
        "step": run.step,
        "losses": run.losses,
        "n_without_gain": run.n_without_gain,
        "best_value": run.best_value,
        "seconds": run.seconds(),
        "kept": {
            "body": kept.embedder.body.state_dict(),
            "step": kept.step,
            "score": None if kept.score is None else (kept.score.accuracy, kept.score.balanced_accuracy),
            "mirrors": [mirror.value for mirror in kept.mirrors],
        },
    }


def restore(run: Run, state: dict[str, Any]) -> None:
    """Put a new run of the same rows, settings and seed where another stood."""
    for name, part in _parts(run).items():
        part.load_state_dict(state[name])
    run.generator.set_state(state["generator"])
    restore_random_states(state["random"])
    run.mirrors = _mirrors(state["mirrors"])
    run.step, run.losses = state["step"], state["losses"]
    run.n_without_gain, run.best_value = state["n_without_gain"], state["best_value"]
    run.seconds_before = state["seconds"]
    run.kept = _kept(run, state["kept"])


def _parts(run: Run) -> dict[str, Any]:
    return {
        "body": run.embedder.body,
        "loss": run.loss,
        "average": run.average,
        "optimiser": run.optimiser,
        "schedule": run.schedule,
    }


def _kept(run: Run, state: dict[str, Any]) -> Fitted:
    body = copy.deepcopy(run.embedder.body)
    body.load_state_dict(state["body"])
    embedder = Embedder(body, run.rows.value_range).to(run.device).eval()
    score = None if state["score"] is None else RetrievalScore(*state["score"])
    return Fitted(embedder, state["step"], run.n_steps, score, _mirrors(state["mirrors"]))


def _mirrors(names: list[str]) -> tuple[Mirror, ...]:
    return tuple(Mirror(name) for name in names)
