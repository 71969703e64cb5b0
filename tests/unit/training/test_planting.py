from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from miwake.training.errors import SettingsError
from miwake.training.planting import planted
from miwake.training.presets import preset

if TYPE_CHECKING:
    from torch import Tensor

SHAPE = (36, 39)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def maps(n_maps: int, shape: tuple[int, int] = SHAPE) -> Tensor:
    return torch.rand(n_maps, shape[0] * shape[1], generator=generator())


def changed(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).view(len(before), *SHAPE)


def test_every_map_gets_one_rectangle_of_a_defects_size() -> None:
    before = maps(200)
    for cells in changed(before, planted(before, SHAPE, generator())):
        n_rows, n_columns = int(cells.any(dim=1).sum()), int(cells.any(dim=0).sum())
        assert int(cells.sum()) == n_rows * n_columns
        assert 1 <= min(n_rows, n_columns) <= 12
        assert max(n_rows, n_columns) <= 20


def test_patches_lie_anywhere_and_streaks_either_way() -> None:
    before = maps(500)
    cells = changed(before, planted(before, SHAPE, generator()))
    high, wide = cells.any(dim=2).sum(dim=1), cells.any(dim=1).sum(dim=1)

    assert cells.any(dim=0).float().mean() > 0.95
    assert ((wide <= 2) & (high >= 6)).any()
    assert ((high <= 2) & (wide >= 6)).any()


def test_what_is_planted_comes_from_a_map_and_stays_in_range() -> None:
    flat = torch.stack([torch.full((36 * 39,), 0.25), torch.full((36 * 39,), 0.75)]).repeat(50, 1)
    after = planted(flat, SHAPE, generator())
    offsets = torch.minimum((after - 0.25).abs(), (after - 0.75).abs())

    assert (after >= 0).all()
    assert (after <= 1).all()
    assert offsets.max() <= 0.3 + 1e-6


def test_the_maps_that_were_given_stay_as_they_are() -> None:
    before = maps(8)
    kept = before.clone()
    planted(before, SHAPE, generator())
    assert torch.equal(before, kept)


def test_the_same_generator_plants_alike_and_small_maps_will_do() -> None:
    small = maps(6, (2, 3))
    assert torch.equal(planted(small, (2, 3), generator()), planted(small, (2, 3), generator()))


@pytest.mark.parametrize("name", ["smnrt17", "smnrt12", "soart3"])
def test_a_loss_around_anchors_takes_no_planted_defects(name: str) -> None:
    with pytest.raises(SettingsError, match=r"takes no planted defects, expected augmentation\.planted=0"):
        preset(name, ["augmentation.planted=0.1"])
