"""Presets: complete recipes for an embedder, each a value; what one setting means stands beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import Field

from miwake.training.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The network.

    Attributes
    ----------
    kind : ``mlp`` or ``conv``
    widths : tuple of int
        Hidden units of each layer (mlp), or channels of each stage (conv); every stage halves the map.
    depth : int
        Convolutions of every stage but the first, which has one.
    n_dimensions : int
        D.
    unit_norm : bool
        Whether embeddings are scaled to length 1.
    """

    kind: Literal["mlp", "conv"]
    widths: Annotated[tuple[Count, ...], Field(min_length=1)]
    depth: Count = 1
    n_dimensions: Count = 128
    unit_norm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """What is minimised.

    Attributes
    ----------
    loss : text
        ``anchor-triplet``: triplets whose anchor is the class-mean vector, Euclidean distance.
        ``classify-contrast``: cross-entropy of a cosine classifier plus supervised contrast (SupCon) in the batch.
    margin : float
        Of the triplets.
    supcon : float
        Weight of SupCon beside the cross-entropy.
    temperature : float
        Of SupCon.
    cosine_scale : float
        The classifier's logits are this many times the cosine.
    label_smoothing : float
        Share of the target spread over all classes.
    """

    loss: Literal["anchor-triplet", "classify-contrast"]
    margin: Positive = 0.4
    supcon: NotNegative = 0.5
    temperature: Positive = 0.1
    cosine_scale: Positive = 16.0
    label_smoothing: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """How it is minimised.

    Attributes
    ----------
    optimiser : text
    lr : float
        Greatest learning rate.
    weight_decay : float
    schedule : text
        ``constant``; ``one-cycle``: a tenth of the steps up, the rest down along a cosine.
    averaging : float
        Decay of the moving average of the weights that is kept; 0 keeps the weights themselves.
    batch_size : int
    epochs, least_steps, most_steps
        The budget in steps: so many passes over the fit rows, but within the two bounds.
    steps : int or None
        The budget itself, where it is given.
    """

    optimiser: Literal["adam", "adamw"]
    lr: Positive
    weight_decay: NotNegative = 0.0
    schedule: Literal["constant", "one-cycle"]
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Field(ge=4)] = 128
    epochs: Positive
    least_steps: Count
    most_steps: Count
    steps: Count | None = None

    def budget(self, n_rows: int) -> int:
        """Return how many steps a run over ``n_rows`` fit rows takes."""
        if self.steps is not None:
            return self.steps
        return min(max(round(self.epochs * n_rows / self.batch_size), self.least_steps), self.most_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationSettings:
    """What happens to the vectors of a training batch; 0 or ``off`` switches each one off.

    Attributes
    ----------
    mirrors : text
        Mirrorings drawn: ``measured`` takes those that the calibration parts show to be harmless.
    shift : float
        Share of the map's shorter side, up to which it is moved in both directions; its border is repeated.
    noise : float
        Greatest standard deviation of noise added to the cells, as a share of the value range.
    contrast, brightness : float
        Gain drawn from 1 ± contrast about the map's mean, offset from ± brightness of the value range.
    balance : float
        Rows of a class of n are drawn in proportion to n to the power 1 - balance: 0 as they come, 1 every class alike.
    """

    mirrors: Literal["off", "measured", "left-right", "up-down", "all"] = "off"
    shift: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    noise: NotNegative = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    brightness: NotNegative = 0.0
    balance: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a run. ``threads`` is what PyTorch may use; None means every core this process may run on."""

    network: NetworkSettings
    loss: LossSettings
    optimiser: OptimiserSettings
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    threads: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named recipe: what it is, where it comes from, and its settings."""

    name: str
    summary: str
    origin: str
    settings: Settings


DEFAULT_PRESET = "best"

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="best",
            summary="Small convolutional network, cross-entropy and SupCon, AdamW, unit-norm embeddings.",
            origin="What measures best on real inspection data; the default.",
            settings=Settings(
                network=NetworkSettings(kind="conv", widths=(16, 32, 64), depth=2, unit_norm=True),
                loss=LossSettings(loss="classify-contrast"),
                optimiser=OptimiserSettings(
                    optimiser="adamw", lr=3e-3, weight_decay=0.02, schedule="one-cycle", averaging=0.99,
                    epochs=50, least_steps=1200, most_steps=4000,
                ),
                augmentation=AugmentationSettings(
                    mirrors="measured", shift=0.1, noise=0.03, contrast=0.2, brightness=0.05, balance=0.5,
                ),
            ),
        ),
        Preset(
            name="smnrt17",
            summary="MLP V-512-256-128, triplets anchored at class-mean vectors, Euclidean, margin 0.4, Adam 3e-5.",
            origin="The classic recipe of the source project: a Siamese network around class means.",
            settings=Settings(
                network=NetworkSettings(kind="mlp", widths=(512, 256), unit_norm=False),
                loss=LossSettings(loss="anchor-triplet", margin=0.4),
                optimiser=OptimiserSettings(
                    optimiser="adam", lr=3e-5, schedule="constant", epochs=60, least_steps=1000, most_steps=6000,
                ),
            ),
        ),
    )
}  # fmt: skip


def preset(name: str, overrides: Sequence[str] = ()) -> Preset:
    """Return a preset with some settings replaced.

    Parameters
    ----------
    name : str
        One of ``PRESETS``.
    overrides : sequence of ``name=value``
        ``lr=1e-3`` or ``optimiser.lr=1e-3``; tuples as ``widths=32,64,128``, nothing as ``steps=none``.

    Raises
    ------
    SettingsError
        If the preset or a setting is unknown, or a value does not fit.
    """
    if name not in PRESETS:
        message = f"unknown preset {name!r}, expected one of {', '.join(sorted(PRESETS))}"
        raise SettingsError(message)
    found = PRESETS[name]
    values = asdict(found.settings)
    for override in overrides:
        _replace(values, override)
    return Preset(name=found.name, summary=found.summary, origin=found.origin, settings=_checked(values))


def setting_names() -> tuple[str, ...]:
    """Return the full name of every setting, in the order of the groups."""
    values = asdict(PRESETS[DEFAULT_PRESET].settings)
    return tuple(
        f"{group}.{name}" if isinstance(inside, dict) else group
        for group, inside in values.items()
        for name in (inside if isinstance(inside, dict) else ("",))
    )


def _replace(values: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    if not equals:
        message = f"setting {override!r}, expected name=value"
        raise SettingsError(message)
    matches = [full for full in setting_names() if name == full or (f".{name}" in full and full.endswith(f".{name}"))]
    if len(matches) != 1:
        message = f"unknown setting {name!r}, expected one of {', '.join(setting_names())}"
        raise SettingsError(message)
    group, _, leaf = matches[0].rpartition(".")
    inside = values[group] if group else values
    inside[leaf] = _parsed(value, is_tuple=isinstance(inside[leaf], tuple))


def _parsed(value: str, *, is_tuple: bool) -> str | tuple[str, ...] | None:
    if is_tuple:
        return tuple(part.strip() for part in value.split(","))
    return None if value.lower() in {"none", ""} else value


def _checked(values: dict[str, Any]) -> Settings:
    try:
        return pydantic.TypeAdapter(Settings).validate_python(values)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        message = f"setting {where}: {first['input']!r} does not fit: {first['msg']}"
        raise SettingsError(message) from error
