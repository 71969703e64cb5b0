from __future__ import annotations

import torch

from miwake.training.augmentation import augment, mirrored, noisy, relit, shifted
from miwake.training.mirrors import Mirror
from miwake.training.settings import AugmentationSettings

SHAPE = (4, 5)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def spots(n_maps: int) -> torch.Tensor:
    maps = torch.zeros(n_maps, *SHAPE)
    maps[:, 1, 2] = 1.0
    return maps.flatten(1)


def test_with_everything_off_a_batch_stays_what_it_was() -> None:
    vectors = torch.rand(6, 20)
    assert torch.equal(augment(vectors, SHAPE, AugmentationSettings(), (), generator()), vectors)


def test_the_same_generator_augments_alike() -> None:
    settings = AugmentationSettings(shift=0.25, noise=0.1, contrast=0.2, brightness=0.1)
    vectors = torch.rand(6, 20)
    once = augment(vectors, SHAPE, settings, tuple(Mirror), generator())
    again = augment(vectors, SHAPE, settings, tuple(Mirror), generator())
    assert torch.equal(once, again)
    assert not torch.equal(once, vectors)


def test_augmentation_does_not_touch_its_input() -> None:
    vectors = torch.rand(6, 20)
    before = vectors.clone()
    settings = AugmentationSettings(shift=0.25, noise=0.1, contrast=0.2, brightness=0.1)
    augment(vectors, SHAPE, settings, tuple(Mirror), generator())
    assert torch.equal(vectors, before)


def test_a_shift_moves_a_spot_by_no_more_than_its_reach_and_in_every_direction() -> None:
    moved = shifted(spots(200), SHAPE, 1, generator()).view(200, *SHAPE)
    places = {(row, column) for _, row, column in torch.nonzero(moved == 1.0).tolist()}
    assert places == {(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)}
    assert torch.equal(moved.sum(dim=(1, 2)), torch.ones(200))


def test_a_shift_repeats_the_border() -> None:
    ramp = torch.arange(5.0).repeat(1, 4)
    moved = shifted(ramp.repeat(50, 1), SHAPE, 2, generator())
    assert set(moved.flatten().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_each_map_is_mirrored_or_left_alone() -> None:
    found = mirrored(spots(300), SHAPE, (Mirror.UP_DOWN,), generator()).view(300, *SHAPE)
    upright, mirror_image = found[:, 1, 2].sum().item(), found[:, 2, 2].sum().item()
    assert upright + mirror_image == 300
    assert 100 < mirror_image < 200


def test_other_light_keeps_the_pattern() -> None:
    vectors = torch.rand(10, 20)
    lit = relit(vectors, 0.3, 0.1, generator())
    correlation = torch.corrcoef(torch.stack([vectors[0], lit[0]]))[0, 1]
    torch.testing.assert_close(correlation, torch.tensor(1.0))
    assert ((lit.mean(dim=1) - vectors.mean(dim=1)).abs() <= 0.1).all()


def test_noise_stays_within_its_deviation() -> None:
    vectors = torch.zeros(100, 2000)
    deviations = noisy(vectors, 0.05, generator()).std(dim=1)
    # 2,000 values tell a deviation within 5 %
    assert deviations.max() < 0.0525
    assert deviations.min() < 0.005
