from __future__ import annotations

import importlib.util

import pytest
import torch

from miwake.training.errors import ExtraMissingError, SettingsError
from miwake.training.image_backbone import GreyAsColour, image_network, timm_backbone
from miwake.training.networks import Embedder, build
from miwake.training.presets import preset

SETTINGS = preset("best", ["kind=timm", "n_dimensions=512"]).settings.network


def tiny_backbone() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 3, stride=2), torch.nn.BatchNorm2d(5), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )


def works() -> bool:
    if importlib.util.find_spec("timm") is None:
        return False
    try:
        timm_backbone(SETTINGS)
    except ExtraMissingError:
        return False
    return True


@pytest.mark.skipif(works(), reason="the extra image is there")
def test_a_missing_extra_is_told_with_what_to_install() -> None:
    with pytest.raises(ExtraMissingError, match=r"needs the extra image \(pip install '\.\[image\]'\)"):
        build((36, 39), SETTINGS)


@pytest.mark.skipif(not works(), reason="the extra image is not there, or does not work beside this PyTorch")
def test_a_backbone_comes_without_a_network_and_an_unknown_one_is_named() -> None:
    assert build((36, 39), SETTINGS).eval()(torch.rand(2, 36 * 39)).shape == (2, 512)
    with pytest.raises(SettingsError, match=r"network\.backbone: 'nothing'"):
        timm_backbone(preset("best", ["kind=timm", "backbone=nothing"]).settings.network)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("weights=nowhere.safetensors", "network.weights: 'nowhere.safetensors': no such file"),
        ("backbone=hf-hub:someone/something", "expected a model of timm itself, not one to fetch"),
    ],
)
def test_nothing_is_looked_for_on_a_network(override: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        timm_backbone(preset("best", ["kind=timm", override]).settings.network)


@pytest.mark.parametrize("shape", [(36, 39), (80, 64), (224, 224), (7, 30)])
def test_the_network_around_a_backbone_takes_any_shape(shape: tuple[int, int]) -> None:
    network = image_network(shape, SETTINGS, tiny_backbone()).eval()
    assert network(torch.rand(3, shape[0] * shape[1])).shape == (3, 512)


def test_the_backbone_is_left_ready_for_training_and_untouched() -> None:
    backbone = tiny_backbone()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    image_network((36, 39), SETTINGS, backbone)
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_grey_becomes_three_channels_on_the_scale_of_the_handed_around_weights() -> None:
    pictures = GreyAsColour((64, 70))(torch.full((1, 64 * 70), 0.485))
    assert pictures.shape == (1, 3, 64, 70)
    assert pictures[0, :, 0, 0].tolist() == pytest.approx(
        [0.0, (0.485 - 0.456) / 0.224, (0.485 - 0.406) / 0.225], abs=1e-6
    )


def test_a_small_map_is_enlarged_so_that_something_is_left_of_it() -> None:
    assert GreyAsColour((36, 39))(torch.rand(1, 36 * 39)).shape == (1, 3, 64, 69)


def test_raw_values_come_onto_the_scale_first() -> None:
    embedder = Embedder(image_network((36, 39), SETTINGS, tiny_backbone()), (0.0, 255.0)).eval()
    vectors = torch.rand(2, 36 * 39)
    torch.testing.assert_close(embedder(255 * vectors), embedder.body(vectors), atol=1e-4, rtol=1e-4)
