from __future__ import annotations

import pytest
import torch

from miwake.training.networks import Embedder, TwoChannelMap, build, settle_batch_statistics
from miwake.training.presets import preset


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(36, 39), (39, 36), (12, 13), (8, 8), (64, 48), (5, 60), (1, 20)])
def test_the_convolutional_network_takes_any_heat_map_shape(shape: tuple[int, int]) -> None:
    network = build(shape, preset("best").settings.network).eval()
    embeddings = network(torch.rand(3, shape[0] * shape[1]))
    assert embeddings.shape == (3, 128)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))


def test_the_classic_network_is_two_hidden_layers_and_keeps_its_length() -> None:
    network = build((36, 39), preset("smnrt17").settings.network)
    assert [tuple(one.shape) for one in network.parameters() if one.ndim == 2] == [(512, 1404), (256, 512), (128, 256)]
    assert isinstance(network[-1], torch.nn.Linear)


def test_raw_values_come_onto_the_scale_of_the_value_range() -> None:
    embedder = Embedder(torch.nn.Identity(), (10.0, 30.0))
    torch.testing.assert_close(embedder(torch.tensor([[10.0, 20.0, 30.0]])), torch.tensor([[0.0, 0.5, 1.0]]))


def test_the_second_channel_ignores_gain_and_offset_and_the_first_does_not() -> None:
    maps = torch.rand(2, 6)
    channels = TwoChannelMap((2, 3))
    plain, relit = channels(maps), channels(0.5 * maps + 0.2)
    # LEAST_DEVIATION, a hundredth of the range, keeps the two from being equal
    torch.testing.assert_close(plain[:, 1], relit[:, 1], atol=0.1, rtol=0)
    assert (plain[:, 0] - relit[:, 0]).abs().max() > 0.2


def test_a_flat_map_stays_finite() -> None:
    network = build((12, 13), preset("best").settings.network).eval()
    assert torch.isfinite(network(torch.full((1, 156), 0.5))).all()


def test_settled_batch_statistics_are_those_of_the_rows() -> None:
    body = torch.nn.Sequential(torch.nn.Unflatten(1, (3, 2, 2)), torch.nn.BatchNorm2d(3))
    vectors = 5 + 2 * torch.randn(256, 12)
    settle_batch_statistics(body, vectors, torch.device("cpu"))
    norm = body[1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.momentum == 0.1
    torch.testing.assert_close(norm.running_mean, vectors.view(256, 3, 4).mean(dim=(0, 2)))
