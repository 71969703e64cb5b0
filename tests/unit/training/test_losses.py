from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from miwake.indexer.verdict.match import MatchMix
from miwake.training.losses.anchors import MeanEmbeddingAnchors, MeanVectorAnchors, RandomAnchors
from miwake.training.losses.choice import loss_of
from miwake.training.losses.contrast import ClassifyContrastLoss
from miwake.training.losses.match import LabelledVectors, MatchTriplets
from miwake.training.losses.triplets import AnchoredTriplets, CombinedTriplets
from miwake.training.presets import preset
from miwake.training.soart3 import match_distances, measures

IDENTITY = torch.nn.Identity()
CLASSES = torch.tensor([0, 1])


def anchor_triplets(means: list[list[float]]) -> AnchoredTriplets:
    compare = torch.nn.TripletMarginLoss(margin=0.4, p=2)
    return AnchoredTriplets(MeanVectorAnchors(torch.tensor(means)), compare, torch.Generator().manual_seed(0))


def combined(*, as_published: bool, cosine: float = 0.8, euclidean: float = 0.02) -> CombinedTriplets:
    return CombinedTriplets(cosine=(cosine, 0.4), euclidean=(euclidean, -5.0), as_published=as_published)


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


def test_a_random_anchor_is_a_row_of_the_class() -> None:
    rows = torch.tensor([[0.0], [10.0], [1.0], [11.0], [2.0]])
    anchors = RandomAnchors(rows, torch.tensor([0, 1, 0, 1, 0]), torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 1] * 50)
    embeddings, drawn = anchors.embed(IDENTITY, torch.zeros(100, 1), classes)
    assert torch.equal(embeddings, torch.zeros(100, 1))
    assert set(drawn[classes == 0].flatten().tolist()) == {0.0, 1.0, 2.0}
    assert set(drawn[classes == 1].flatten().tolist()) == {10.0, 11.0}


def test_mean_embedding_anchors_move_when_a_round_begins_and_only_then() -> None:
    rows, classes = torch.tensor([[1.0], [3.0], [10.0]]), torch.tensor([0, 0, 1])
    anchors = MeanEmbeddingAnchors(rows, classes, 1)
    body = torch.nn.Linear(1, 1, bias=False)
    body.weight.data = torch.tensor([[2.0]])
    anchors.begin_round(body)
    body.weight.data = torch.tensor([[5.0]])
    _, found = anchors.embed(body, rows, classes)
    assert found.flatten().tolist() == [4.0, 4.0, 20.0]
    anchors.begin_round(body)
    assert anchors.embed(body, rows, classes)[1].flatten().tolist() == [10.0, 10.0, 50.0]


def cosine_distance(anchor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return 1 - torch.nn.functional.cosine_similarity(anchor, other)


@pytest.mark.parametrize(
    ("weights", "distance"), [((1.0, 0.0), cosine_distance), ((0.0, 1.0), torch.nn.functional.pairwise_distance)]
)
@pytest.mark.parametrize(("as_published", "by_positive", "by_negative"), [(False, 1, -1), (True, -1, 1)])
def test_the_published_sign_of_the_combined_loss_is_the_opposite_of_a_triplet_loss(
    weights: tuple[float, float],
    distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    as_published: bool,
    by_positive: int,
    by_negative: int,
) -> None:
    # as published, the loss is alive where the negative is the far one; with the sign of a triplet, the positive
    far, near, anchor = torch.tensor([[-30.0, 1.0]]), torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    positive = (near if as_published else far).requires_grad_()
    negative = (far if as_published else near).requires_grad_()
    loss = combined(as_published=as_published, cosine=weights[0], euclidean=weights[1])(anchor, positive, negative)
    slopes = torch.autograd.grad(loss, [positive, negative])
    away = torch.autograd.grad(
        distance(anchor, positive).sum() + distance(anchor, negative).sum(), [positive, negative]
    )
    # along a distance's own gradient the loss changes as the distance does, times dL/dd
    assert (slopes[0] / away[0]).flatten().tolist() == pytest.approx([by_positive] * 2, rel=1e-4)
    assert (slopes[1] / away[1]).flatten().tolist() == pytest.approx([by_negative] * 2, rel=1e-4)


def test_the_combined_loss_is_the_published_formula() -> None:
    anchors, positives, negatives = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.tensor([[-9.0, 0.0]])
    # cosine distances 1 and 2; Euclidean sqrt(10) and 10
    expected = 0.8 * (2 - 1 + 0.4) + 0.02 * (10 - 10**0.5 - 5)
    assert combined(as_published=True)(anchors, positives, negatives).item() == pytest.approx(expected, rel=1e-5)
    assert combined(as_published=False)(anchors, positives, negatives).item() == 0.0


def soart3_loss() -> MatchTriplets:
    vectors = torch.tensor([[1.0, 0.1, 0.0], [0.9, 0.0, 0.1], [0.0, 1.0, 0.2], [0.1, 1.1, 0.0]])
    classes = torch.tensor([0, 0, 1, 1])
    means = torch.tensor([[0.95, 0.05, 0.05], [0.05, 1.05, 0.1]])
    loss = MatchTriplets(means, LabelledVectors(vectors, classes), preset("soart3").settings.loss)
    loss.begin_round(IDENTITY)
    return loss


def test_the_mix_fitted_in_a_round_tells_matches_from_mismatches() -> None:
    loss = soart3_loss()
    mix = MatchMix(
        **dict(zip(("scale_weight", "deviation_weight", "spread_weight", "bias"), loss.mix.tolist(), strict=True))
    )
    found = match_distances(measures(torch.tensor([[1.0, 0.1, 0.0]]), loss.means[None]), mix)
    assert found[0, 0] < 0.5 < found[0, 1]


def test_minimising_the_soart3_loss_brings_a_match_nearer_and_drives_a_mismatch_away() -> None:
    loss = soart3_loss()
    anchors = loss.means[:1]
    positives = torch.tensor([[0.6, 0.5, 0.3]], requires_grad=True)
    negatives = torch.tensor([[0.5, 0.6, -0.2]], requires_grad=True)

    def distance(queries: torch.Tensor) -> float:
        names = ("scale_weight", "deviation_weight", "spread_weight", "bias")
        mix = MatchMix(**dict(zip(names, loss.mix.tolist(), strict=True)))
        return match_distances(measures(queries, anchors[None]), mix).item()

    value = loss(anchors, positives, negatives)
    value.backward()

    assert value.item() == pytest.approx(distance(positives) - distance(negatives) + 0.3, rel=1e-5)
    assert positives.grad is not None
    assert negatives.grad is not None
    assert distance(positives - 0.05 * positives.grad) < distance(positives)
    assert distance(negatives - 0.05 * negatives.grad) > distance(negatives)


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


@pytest.mark.parametrize("name", ["smnrt17", "smnrt11-mean", "smnrt12", "smnrt12-published", "soart3"])
def test_the_means_of_the_anchors_are_those_of_the_fit_rows(name: str) -> None:
    vectors = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    fit = LabelledVectors(vectors, torch.tensor([0, 0, 1]))
    loss = loss_of(preset(name).settings, fit, None, torch.Generator())
    assert isinstance(loss, AnchoredTriplets)
    assert isinstance(loss.anchors, MeanVectorAnchors)
    torch.testing.assert_close(loss.anchors.means, torch.tensor([[0.5, 0.5], [0.5, 0.5]]))


LIBRARY = [
    "triplet", "contrastive", "multi-similarity", "supcon", "ntxent", "circle", "proxy-anchor", "proxy-nca",
    "normalized-softmax", "arcface", "cosface", "sub-center-arcface",
]  # fmt: skip
MINERS = [
    "off",
    "multi-similarity",
    "batch-hard",
    "batch-easy-hard",
    "semi-hard",
    "hard",
    "distance-weighted",
    "pair-margin",
]


@pytest.mark.parametrize(
    ("name", "miner", "distance"),
    [
        *((name, "off", "cosine") for name in LIBRARY),
        *(("triplet", miner, distance) for miner in MINERS for distance in ("cosine", "euclidean")),
        ("contrastive", "off", "euclidean"),
    ],
)
def test_every_loss_of_the_library_learns_to_part_two_classes(name: str, miner: str, distance: str) -> None:
    torch.manual_seed(0)
    settings = preset("metric-learning", [f"loss={name}", f"miner={miner}", f"distance={distance}", "n_dimensions=8"])
    vectors, classes = torch.rand(16, 6), torch.arange(16) % 2
    vectors[:, 0] += classes
    loss = loss_of(settings.settings, LabelledVectors(vectors, classes), None, torch.Generator())
    body = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))
    adam = torch.optim.Adam([*body.parameters(), *loss.parameters()], lr=0.03)

    def contrast() -> float:
        unit = torch.nn.functional.normalize(body(vectors), dim=1).detach()
        distances, same = torch.cdist(unit, unit), classes[:, None] == classes[None, :]
        return (distances[~same].mean() / distances[same].mean()).item()

    before = contrast()
    for _ in range(20):
        adam.zero_grad()
        loss(body, vectors, classes).backward()
        adam.step()
    assert contrast() > before + 0.3
