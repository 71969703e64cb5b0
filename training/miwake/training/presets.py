"""Presets: complete recipes for an embedder, each a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from miwake.training.errors import SettingsError
from miwake.training.overrides import replaced
from miwake.training.settings import (
    AugmentationSettings,
    LossSettings,
    NetworkSettings,
    OptimiserSettings,
    SamplingSettings,
    Settings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named recipe: what it is, where it comes from, and its settings."""

    name: str
    summary: str
    origin: str
    settings: Settings


DEFAULT_PRESET = "best"

CLASSIC_NETWORK = NetworkSettings(kind="mlp", widths=(512, 256), unit_norm=False)
"""V-512-256-128 with ReLU, the last layer linear: the network of the source project."""

CLASSIC_OPTIMISER = OptimiserSettings(
    optimiser="adam", lr=3e-5, schedule="constant", epochs=60, least_steps=1000, most_steps=6000
)

SMALL_NETWORK = NetworkSettings(kind="conv", widths=(16, 32, 64, 128), unit_norm=True)
"""A network over the map that embeds on the unit sphere."""

SMALL_OPTIMISER = OptimiserSettings(
    optimiser="adamw", lr=3e-3, weight_decay=0.02, schedule="cosine", warm_up=0.1, averaging=0.99,
    epochs=32, least_steps=1200, most_steps=2000,
)  # fmt: skip

AUGMENTATION = AugmentationSettings(
    mirrors="measured", shift=0.05, noise=0.03, contrast=0.2, brightness=0.05, balance=0.5, planted=0.125
)


def _classic(name: str, summary: str, origin: str, loss: LossSettings) -> Preset:
    settings = Settings(network=CLASSIC_NETWORK, loss=loss, optimiser=CLASSIC_OPTIMISER)
    return Preset(name=name, summary=summary, origin=origin, settings=settings)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="best",
            summary="Small convolutional network, cross-entropy and SupCon, AdamW, unit-norm embeddings.",
            origin="What measures best on real inspection data; the default.",
            settings=Settings(
                network=SMALL_NETWORK,
                loss=LossSettings(loss="classify-contrast"),
                optimiser=SMALL_OPTIMISER,
                augmentation=AUGMENTATION,
            ),
        ),
        _classic(
            "smnrt17",
            "MLP V-512-256-128, triplets anchored at class-mean vectors, Euclidean, margin 0.4, Adam 3e-5.",
            "The classic recipe of the source project: a Siamese network around class means.",
            LossSettings(loss="anchor-triplet"),
        ),
        _classic(
            "smnrt11-random",
            "smnrt17, with a random fit row of the class as the anchor of each triplet.",
            "One side of the source project's ablation of anchors.",
            LossSettings(loss="anchor-triplet", anchor="random"),
        ),
        _classic(
            "smnrt11-mean",
            "The same with class-mean vectors as anchors, of fit rows; its settings are those of smnrt17.",
            "The other side: a gain of 2 points was reported on Fashion-MNIST, with means taken from test pictures.",
            LossSettings(loss="anchor-triplet", anchor="mean-vector"),
        ),
        _classic(
            "smnrt12-published",
            "0.8 max(cosine + 0.4, 0) + 0.02 max(Euclidean - 5, 0) of d(anchor, negative) - d(anchor, positive).",
            "The source project, as published: the sign drives positives away. Kept to be compared with.",
            LossSettings(loss="combined", sign="published"),
        ),
        _classic(
            "smnrt12",
            "The combined cosine and Euclidean loss of d(anchor, positive) - d(anchor, negative).",
            "The source project's combined loss with the sign of a triplet loss.",
            LossSettings(loss="combined", sign="triplet"),
        ),
        Preset(
            name="soart3",
            summary="MLP, triplets on the SOART3 match distance to class-mean anchors; the mix re-fitted in rounds.",
            origin="The distance that neighbours are re-ranked by, as what the network learns.",
            settings=Settings(
                network=CLASSIC_NETWORK,
                loss=LossSettings(loss="soart3"),
                optimiser=replace(CLASSIC_OPTIMISER, lr=3e-4, schedule="cosine", warm_up=0.05),
            ),
        ),
        Preset(
            name="metric-learning",
            summary="Small convolutional network, triplets by cosine, margin 0.1, multi-similarity miner, m per class.",
            origin="The losses, miners and samplers of pytorch-metric-learning; others by --set loss=…, --set miner=….",
            settings=Settings(
                network=SMALL_NETWORK,
                loss=LossSettings(loss="triplet", distance="cosine", miner="multi-similarity"),
                optimiser=SMALL_OPTIMISER,
                augmentation=replace(AUGMENTATION, balance=0.0, planted=0.0),
                sampling=SamplingSettings(sampler="m-per-class", per_class=4),
            ),
        ),
    )
}


def preset(name: str, overrides: Sequence[str] = ()) -> Preset:
    """Return a preset with some settings replaced; ``miwake.training.overrides.replaced`` says how they are written.

    Raises
    ------
    SettingsError
        If the preset or a setting is unknown, or a value does not fit.
    """
    if name not in PRESETS:
        message = f"unknown preset {name!r}, expected one of {', '.join(sorted(PRESETS))}"
        raise SettingsError(message)
    found = PRESETS[name]
    return replace(found, settings=replaced(found.settings, overrides))
