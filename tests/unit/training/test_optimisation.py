from __future__ import annotations

import pytest
import torch

from miwake.training.optimisation import Schedule, evaluation_weights, learning_rate_share, optimiser
from miwake.training.presets import preset
from miwake.training.settings import OptimiserSettings

OPTIMISERS = ["adam", "adamw", "sgd", "radam", "ranger", "schedule-free"]


def settings(*overrides: str) -> OptimiserSettings:
    plain = ("schedule=constant", "warm_up=0", "averaging=0", "weight_decay=0", "lr=0.1")
    return preset("best", [*plain, *overrides]).settings.optimiser


def shares(n_steps: int, *overrides: str) -> list[float]:
    return [round(learning_rate_share(settings(*overrides), step, n_steps), 4) for step in range(n_steps)]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_finds_the_bottom_of_a_bowl(name: str) -> None:
    torch.manual_seed(0)
    bowl = torch.nn.Linear(3, 1, bias=False)
    found = optimiser([bowl], settings(f"optimiser={name}"))
    for _ in range(1000):
        found.zero_grad()
        (bowl.weight - torch.tensor([1.0, -2.0, 3.0])).square().sum().backward()  # type: ignore[no-untyped-call]
        found.step()
    with evaluation_weights(found):
        assert (bowl.weight[0] - torch.tensor([1.0, -2.0, 3.0])).abs().max() < 0.02


def test_weight_decay_spares_biases() -> None:
    groups = optimiser([torch.nn.Linear(2, 2)], settings("weight_decay=0.1")).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.1), (1, 0.0)]


def test_schedule_free_is_measured_at_its_average_and_trained_on_its_path() -> None:
    line = torch.nn.Linear(1, 1, bias=False)
    found = optimiser([line], settings("optimiser=schedule-free", "lr=0.5"))
    for _ in range(5):
        found.zero_grad()
        line.weight.square().sum().backward()  # type: ignore[no-untyped-call]
        found.step()
    path = line.weight.item()
    with evaluation_weights(found):
        average = line.weight.item()
    assert average != path
    assert line.weight.item() == pytest.approx(path, rel=1e-6)  # there and back rounds
    assert found.param_groups[0]["train_mode"] is True


def test_other_optimisers_are_measured_where_they_are() -> None:
    line = torch.nn.Linear(1, 1)
    before = line.weight.item()
    with evaluation_weights(optimiser([line], settings())):
        assert line.weight.item() == before


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("schedule=constant",), [1.0, 1.0, 1.0, 1.0]),
        (("schedule=cosine",), [1.0, 0.8536, 0.5, 0.1464]),
        (("schedule=exponential", "final_share=0.0001"), [1.0, 0.1, 0.01, 0.001]),
        (("schedule=step", "final_share=0.01", "drops=1"), [1.0, 1.0, 0.01, 0.01]),
        (("schedule=step", "final_share=0.01", "drops=3"), [1.0, 0.2154, 0.0464, 0.01]),
        (("schedule=constant", "warm_up=0.75"), [0.25, 0.5, 0.75, 1.0]),
        (("schedule=cosine", "warm_up=0.5"), [0.3333, 0.6667, 1.0, 0.5]),
    ],
)
def test_the_learning_rate_follows_its_schedule(overrides: tuple[str, ...], expected: list[float]) -> None:
    assert shares(4, *overrides) == expected


def test_a_plateau_lowers_the_rate_after_two_validations_without_gain() -> None:
    chosen = settings("schedule=plateau", "final_share=0.01", "drops=2")
    schedule = Schedule(torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=chosen.lr), chosen, 100)
    rates = []
    for score in (0.5, 0.6, 0.6, 0.55, 0.7, 0.7, 0.7):
        schedule.validated(score)
        rates.append(round(schedule.lr, 6))
    assert rates == [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001]


def test_a_schedule_goes_on_where_another_stood() -> None:
    chosen = settings("schedule=plateau", "warm_up=0.5")
    first, second = (
        Schedule(torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=chosen.lr), chosen, 10) for _ in range(2)
    )
    for _ in range(3):
        first.step()
        first.validated(0.5)
    second.load_state_dict(first.state_dict())
    assert second.lr == first.lr
    second.validated(0.4)
    first.validated(0.4)
    assert second.state_dict() == first.state_dict()
