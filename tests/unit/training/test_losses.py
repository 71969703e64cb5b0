from __future__ import annotations

import pytest
import torch

from miwake.training.losses import AnchorTripletLoss, ClassifyContrastLoss, loss_of
from miwake.training.presets import preset

IDENTITY = torch.nn.Identity()
CLASSES = torch.tensor([0, 1])


def anchor_triplets(means: list[list[float]]) -> AnchorTripletLoss:
    return AnchorTripletLoss(torch.tensor(means), margin=0.4, generator=torch.Generator().manual_seed(0))


def test_the_anchor_of_a_triplet_is_the_class_mean_passed_through_the_network() -> None:
    loss = anchor_triplets([[0.0, 0.0], [3.0, 0.0]])
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    # anchor 0: positive at 1, negative at 2; anchor 3: positive at 1, negative at 2; each max(1 - 2 + 0.4, 0)
    assert loss(IDENTITY, vectors, CLASSES).item() == pytest.approx(0.0)
    # a network that shrinks to a tenth: max(0.1 - 0.2 + 0.4, 0)
    tenth = torch.nn.Linear(2, 2, bias=False)
    tenth.weight.data = 0.1 * torch.eye(2)
    assert loss(tenth, vectors, CLASSES).item() == pytest.approx(0.3, abs=1e-5)


def test_minimising_draws_the_positive_to_its_anchor_and_drives_the_negative_away() -> None:
    loss = anchor_triplets([[0.0], [10.0]])
    vectors = torch.tensor([[4.0], [4.1]], requires_grad=True)
    loss(IDENTITY, vectors, CLASSES).backward()
    assert vectors.grad is not None
    assert vectors.grad[0].item() > 0
    assert vectors.grad[1].item() < 0


def test_a_batch_of_one_class_has_no_triplet_and_costs_nothing() -> None:
    loss = anchor_triplets([[0.0], [10.0]])
    assert loss(IDENTITY, torch.tensor([[1.0], [2.0]]), torch.tensor([0, 0])).item() == 0.0


def test_classes_that_lie_together_cost_more_than_classes_apart() -> None:
    torch.manual_seed(0)
    loss = ClassifyContrastLoss(2, 2, preset("best").settings.loss)
    loss.proxies.data = torch.eye(2)
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    together = torch.nn.functional.normalize(torch.ones(4, 2))
    classes = torch.tensor([0, 0, 1, 1])
    assert loss(IDENTITY, apart, classes) < loss(IDENTITY, together, classes)


def test_supcon_can_be_switched_off() -> None:
    loss = ClassifyContrastLoss(2, 2, preset("best", ["supcon=0", "label_smoothing=0"]).settings.loss)
    loss.proxies.data = torch.eye(2)
    expected = torch.nn.functional.cross_entropy(loss.cosine_scale * torch.eye(2), CLASSES)
    torch.testing.assert_close(loss(IDENTITY, torch.eye(2), CLASSES), expected)


def test_the_means_of_the_anchors_are_those_of_the_fit_rows() -> None:
    vectors = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    loss = loss_of(preset("smnrt17").settings, vectors, torch.tensor([0, 0, 1]), torch.Generator())
    assert isinstance(loss, AnchorTripletLoss)
    torch.testing.assert_close(loss.means, torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
