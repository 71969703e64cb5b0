"""SOART3 in torch: the definition, and gradients that training survives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from miwake.indexer.verdict.match import MatchMix
from miwake.training.soart3 import match_distances, measures
from support.soart3_cases import Soart3Case, all_cases


@pytest.mark.parametrize("case", all_cases())
def test_float64_gives_what_was_worked_out(case: Soart3Case) -> None:
    query = torch.tensor([case.query], dtype=torch.float64)
    reference = torch.tensor([[case.reference]], dtype=torch.float64)

    found = measures(query, reference, p_eta=case.p_eta, p_gamma=case.p_gamma)

    assert found.beta.item() == pytest.approx(case.beta, rel=1e-12, abs=0)
    assert found.eta.item() == pytest.approx(case.eta, rel=1e-12, abs=0)
    assert found.gamma.item() == pytest.approx(case.gamma, rel=1e-12, abs=0)


@pytest.mark.parametrize("case", all_cases())
def test_float32_gives_what_was_worked_out(case: Soart3Case) -> None:
    query = torch.tensor([case.query], dtype=torch.float32)
    reference = torch.tensor([[case.reference]], dtype=torch.float32)

    found = measures(query, reference, p_eta=case.p_eta, p_gamma=case.p_gamma)

    assert found.eta.dtype == torch.float32
    assert found.beta.item() == pytest.approx(case.beta, rel=1e-6, abs=1e-6)
    assert found.eta.item() == pytest.approx(case.eta, rel=1e-6, abs=1e-6)
    assert found.gamma.item() == pytest.approx(case.gamma, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("case", all_cases())
def test_match_distances_are_those_of_the_index(case: Soart3Case) -> None:
    mix = MatchMix(scale_weight=2.5, deviation_weight=0.7, spread_weight=-0.4, bias=-1.5)
    three = np.array([case.beta]), np.array([case.eta]), np.array([case.gamma])
    query = torch.tensor([case.query], dtype=torch.float64)
    reference = torch.tensor([[case.reference]], dtype=torch.float64)

    found = match_distances(measures(query, reference, p_eta=case.p_eta, p_gamma=case.p_gamma), mix)

    # what the index stores is float32, and kept below 1
    assert found.item() == pytest.approx(mix.distances(mix.scores(*three)).item(), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("powers", [(1, 4), (2, 6), (3, 5), (8, 7)])
def test_gradients_are_those_of_finite_differences(powers: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(3, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    references = torch.randn(3, 2, 7, generator=generator, dtype=torch.float64, requires_grad=True)

    def three(y: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = measures(y, x, p_eta=powers[0], p_gamma=powers[1])
        return found.beta, found.eta, found.gamma

    assert torch.autograd.gradcheck(three, (queries, references))


@pytest.mark.parametrize("powers", [(1, 4), (2, 6), (8, 8)])
@pytest.mark.parametrize("case", all_cases())
def test_gradients_stay_finite_everywhere(case: Soart3Case, powers: tuple[int, int]) -> None:
    query = torch.tensor([case.query], dtype=torch.float32, requires_grad=True)
    reference = torch.tensor([[case.reference]], dtype=torch.float32, requires_grad=True)

    found = measures(query, reference, p_eta=powers[0], p_gamma=powers[1])
    (found.beta + found.eta + found.gamma).sum().backward()  # type: ignore[no-untyped-call]

    assert query.grad is not None
    assert reference.grad is not None
    assert torch.isfinite(query.grad).all()
    assert torch.isfinite(reference.grad).all()


def test_where_nothing_is_left_eta_and_gamma_pull_nowhere() -> None:
    query = torch.tensor([[1.0, -2.0, 3.0]], requires_grad=True)

    found = measures(query, query.detach()[None])
    (found.eta + found.gamma).sum().backward()  # type: ignore[no-untyped-call]

    assert query.grad is not None
    assert torch.equal(query.grad, torch.zeros_like(query))


def test_shared_references_meet_every_query() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, references = torch.randn(4, 5, generator=generator), torch.randn(3, 5, generator=generator)

    shared = measures(queries, references[None])

    own = measures(queries, references.expand(4, 3, 5))
    assert torch.equal(shared.eta, own.eta)
    assert shared.eta.shape == (4, 3)


def test_a_step_down_eta_brings_the_query_nearer() -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 16, generator=generator, requires_grad=True)
    reference = torch.randn(1, 1, 16, generator=generator)
    before = measures(query, reference).eta

    before.sum().backward()  # type: ignore[no-untyped-call]

    assert query.grad is not None
    assert measures(query.detach() - 0.1 * query.grad, reference).eta < before


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"queries \(2, 4\) and references \(3, 1, 4\): expected"):
        measures(torch.ones(2, 4), torch.ones(3, 1, 4))
    with pytest.raises(ValueError, match=r"queries \(2, 4\) and references \(2, 1, 5\): expected"):
        measures(torch.ones(2, 4), torch.ones(2, 1, 5))


def test_other_powers_are_refused() -> None:
    with pytest.raises(ValueError, match="p_eta = 0: expected an integer in 1 … 8"):
        measures(torch.ones(1, 2), torch.ones(1, 1, 2), p_eta=0)
