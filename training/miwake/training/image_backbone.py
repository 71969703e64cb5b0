"""An image backbone of timm as the embedder: for folders of images; needs the extra ``image``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from miwake.training.errors import ExtraMissingError, SettingsError

if TYPE_CHECKING:
    from miwake.training.settings import NetworkSettings

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""What the weights that are handed around were trained with: the colour statistics of ImageNet on a 0 … 1 scale."""

LEAST_SIDE = 64
"""Smaller maps are enlarged to this: a backbone halves its map five times."""


class GreyAsColour(nn.Module):
    """Scaled vectors (B, V) as the colour pictures (B, 3, rows, columns) that a backbone expects."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, heat_map_shape: tuple[int, int]) -> None:
        super().__init__()
        self.heat_map_shape = heat_map_shape
        self.enlargement = max(LEAST_SIDE / min(heat_map_shape), 1.0)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return (B, 3, rows, columns)."""
        maps = vectors.reshape(-1, 1, *self.heat_map_shape)
        if self.enlargement > 1:
            size = [round(self.enlargement * side) for side in self.heat_map_shape]
            maps = nn.functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        return (maps - self.mean) / self.deviation


def image_network(heat_map_shape: tuple[int, int], settings: NetworkSettings, backbone: nn.Module) -> nn.Sequential:
    """Return the network around a backbone that turns pictures (B, 3, rows, columns) into features (B, F)."""
    pictures = GreyAsColour(heat_map_shape)
    backbone.eval()
    with torch.no_grad():
        n_features = backbone(pictures(torch.zeros(1, heat_map_shape[0] * heat_map_shape[1]))).shape[1]
    return nn.Sequential(pictures, backbone.train(), nn.Linear(n_features, settings.n_dimensions))


def timm_backbone(settings: NetworkSettings) -> nn.Module:
    """Return the backbone that ``settings`` name, with weights from their file, or random ones; nothing is fetched.

    Raises
    ------
    ExtraMissingError
        If timm is not installed, or what it needs does not work beside this PyTorch.
    SettingsError
        If timm knows no such backbone, or the file does not hold its weights.
    """
    _refuse_what_is_not_here(settings)
    timm = _timm()
    # Weights are taken from a file that is named, or not at all: a name alone would be looked for on the network.
    options: dict[str, Any] = {"num_classes": 0, "pretrained": False}
    if settings.weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": settings.weights}}
    try:
        backbone: nn.Module = timm.create_model(settings.backbone, **options)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        told = " ".join(str(error).split())
        message = f"setting network.backbone: {settings.backbone!r} with weights {settings.weights!r}: {told}"
        raise SettingsError(message) from error
    return backbone


def _refuse_what_is_not_here(settings: NetworkSettings) -> None:
    if ":" in settings.backbone:
        message = f"setting network.backbone: {settings.backbone!r}, expected a model of timm itself, not one to fetch"
        raise SettingsError(message)
    if settings.weights is not None and not Path(settings.weights).is_file():
        message = f"setting network.weights: {settings.weights!r}: no such file"
        raise SettingsError(message)


def _timm() -> Any:
    try:
        import timm  # noqa: PLC0415 - an optional extra
    except (ImportError, RuntimeError) as error:  # a torchvision of another PyTorch is a RuntimeError
        message = (
            f"network.kind=timm needs the extra image (pip install '.[image]') and a torchvision made for PyTorch "
            f"{torch.__version__}: {error}"
        )
        raise ExtraMissingError(message) from error
    return timm
