"""The settings of a training run: what each one means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Power = Annotated[int, Field(ge=1, le=8)]

LossName = Literal[
    "anchor-triplet", "combined", "soart3", "classify-contrast",
    "triplet", "contrastive", "multi-similarity", "supcon", "ntxent", "circle",
    "proxy-anchor", "proxy-nca", "normalized-softmax", "arcface", "cosface", "sub-center-arcface",
]  # fmt: skip
MinerName = Literal[
    "off", "multi-similarity", "batch-hard", "batch-easy-hard", "semi-hard", "hard", "distance-weighted", "pair-margin"
]

DEFAULT_MARGINS = {
    "anchor-triplet": 0.4, "soart3": 0.3, "triplet": 0.1, "circle": 0.4, "proxy-anchor": 0.1, "arcface": 28.6,
    "cosface": 0.35, "sub-center-arcface": 28.6,
}  # fmt: skip
"""The margin of each loss that has one, in its own unit (degrees for the ArcFace kinds), where none is given."""


ANCHORED = ("anchor-triplet", "combined", "soart3")
"""The losses whose triplets are anchored at something of each class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The network.

    Attributes
    ----------
    kind : ``mlp``, ``conv`` or ``timm``
        ``timm``: an image backbone of that library, from the extra ``image``, and a linear layer.
    widths : tuple of int
        Hidden units of each layer (mlp), or channels of each stage (conv); all stages but the second halve the map.
    depth : int
        Convolutions of every stage but the first, which has one.
    n_dimensions : int
        D.
    unit_norm : bool
        Whether embeddings are scaled to length 1.
    backbone : text
        The name of the timm model.
    weights : text or None
        A local file of the backbone's weights (safetensors, or a PyTorch state); None starts from random ones.
    """

    kind: Literal["mlp", "conv", "timm"]
    widths: Annotated[tuple[Count, ...], Field(min_length=1)]
    depth: Count = 1
    n_dimensions: Count = 128
    unit_norm: bool
    backbone: str = "tf_efficientnetv2_b0"
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """What is minimised. A loss reads those settings that it has.

    Attributes
    ----------
    loss : text
        ``anchor-triplet``: triplets around an anchor of the class, Euclidean distance.
        ``combined``: the same triplets under cosine and Euclidean distance at once.
        ``soart3``: the same triplets under the SOART3 match distance.
        ``classify-contrast``: cross-entropy of a cosine classifier plus supervised contrast (SupCon) in the batch.
        The others are those of pytorch-metric-learning.
    margin : float or None
        Of the loss, in its own unit; None is ``DEFAULT_MARGINS``.
    anchor : text
        What a class's triplets are anchored at: ``mean-vector``, its mean vector, passed through the network like any
        other; ``mean-embedding``, the mean of its embeddings, computed anew in every round; ``random``, another of its
        fit rows for every triplet.
    rounds : int
        So many times in a run ``mean-embedding`` anchors are computed and the mix of ``soart3`` is fitted.
    sign : text
        Of ``combined``: ``triplet`` draws the positive near, ``published`` has the opposite sign and drives it away.
    cosine_weight, cosine_margin, euclidean_weight, euclidean_margin : float
        Of ``combined``: the weight of each part and what is added to the difference of its distances.
    p_eta, p_gamma : int
        Of ``soart3``.
    distance : text
        What ``triplet``, ``contrastive`` and the miners compare embeddings by.
    miner : text
        Which pairs or triplets of a batch the losses of pytorch-metric-learning see; ``off``: all.
    supcon : float
        Weight of SupCon beside the cross-entropy.
    temperature : float
        Of SupCon and NTXent.
    cosine_scale : float
        The classifier's logits are this many times the cosine.
    label_smoothing : float
        Share of the target spread over all classes.
    """

    loss: LossName
    margin: Positive | None = None
    anchor: Literal["mean-vector", "mean-embedding", "random"] = "mean-vector"
    rounds: Count = 5
    sign: Literal["triplet", "published"] = "triplet"
    cosine_weight: NotNegative = 0.8
    cosine_margin: Finite = 0.4
    euclidean_weight: NotNegative = 0.02
    euclidean_margin: Finite = -5.0
    p_eta: Power = 2
    p_gamma: Power = 6
    distance: Literal["euclidean", "cosine"] = "euclidean"
    miner: MinerName = "off"
    supcon: NotNegative = 0.5
    temperature: Positive = 0.1
    cosine_scale: Positive = 16.0
    label_smoothing: Share = 0.0

    def __post_init__(self) -> None:
        """Refuse a miner for a loss that is not of pytorch-metric-learning."""
        if self.miner != "off" and self.loss in {*ANCHORED, "classify-contrast"}:
            message = f"{self.loss} takes no miner, expected miner=off"
            raise ValueError(message)

    @property
    def margin_used(self) -> float:
        """The margin, or that of the loss where none is given; 0 for a loss without one."""
        return DEFAULT_MARGINS.get(self.loss, 0.0) if self.margin is None else self.margin


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """How it is minimised.

    Attributes
    ----------
    optimiser : text
        ``ranger``: RAdam with Lookahead. ``schedule-free``: AdamW that averages its own path.
    lr : float
        Greatest learning rate.
    weight_decay : float
    momentum : float
        Of ``sgd``.
    schedule : text
        What the learning rate does after the warm-up. ``cosine``: down to 0 along half a wave; ``step``: down to
        ``final_share`` in ``drops`` equal ratios; ``exponential``: down to ``final_share`` evenly; ``plateau``: times
        ``final_share ** (1 / drops)`` after two validations without a better score.
    warm_up : float
        Share of the steps in which the learning rate rises.
    final_share : float
        Of the greatest learning rate.
    drops : int
    averaging : float
        Decay of the moving average of the weights that is kept; 0 keeps the weights themselves.
    batch_size : int
    epochs, least_steps, most_steps
        The budget in steps: so many passes over the fit rows, but within the two bounds.
    steps : int or None
        The budget itself, where it is given.
    keep : text
        ``best``: the weights that scored best on the calibration parts, the untrained ones among them; ``last``.
    early_stop : int or None
        The run ends after so many validations without a better score; None takes every step of the budget.
    """

    optimiser: Literal["adam", "adamw", "sgd", "radam", "ranger", "schedule-free"]
    lr: Positive
    weight_decay: NotNegative = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["constant", "cosine", "plateau", "step", "exponential"]
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.0
    final_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    drops: Count = 2
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Field(ge=4)] = 128
    epochs: Positive
    least_steps: Count
    most_steps: Count
    steps: Count | None = None
    keep: Literal["best", "last"] = "best"
    early_stop: Count | None = None

    def __post_init__(self) -> None:
        """Refuse to combine an optimiser that needs no schedule and no average with either."""
        if self.optimiser == "schedule-free" and (self.schedule != "constant" or self.averaging):
            message = "schedule-free needs schedule=constant and averaging=0"
            raise ValueError(message)

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
        Mirrorings drawn: ``measured`` takes those that the calibration parts show to be harmless, quarter turns among
        them; ``turns`` all of these, ``all`` without the quarter turns.
    shift : float
        Share of the map's shorter side, up to which it is moved in both directions; its border is repeated.
    noise : float
        Greatest standard deviation of noise added to the cells, as a share of the value range.
    contrast, brightness : float
        Gain drawn from 1 ± contrast about the map's mean, offset from ± brightness of the value range.
    balance : float
        Rows of a class of n are drawn in proportion to n to the power 1 - balance: 0 as they come, 1 every class alike.
    planted : float
        So many rows, as a share of a batch, are added to it: copies of its passes with a patch which belongs elsewhere,
        as a class of their own. None where the data have no passes; of losses that classify or compare rows with each
        other, not of those around anchors.
    """

    mirrors: Literal["off", "measured", "left-right", "up-down", "all", "turns"] = "off"
    shift: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    noise: NotNegative = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    brightness: NotNegative = 0.0
    balance: Share = 0.0
    planted: Annotated[float, Field(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """Which rows make a batch.

    Attributes
    ----------
    sampler : text
        ``weighted``: every row by its chance, which ``balance`` sets. ``m-per-class``: so many of each class in turn,
        pytorch-metric-learning's ``MPerClassSampler``; every class is drawn alike.
    per_class : int
        m.
    """

    sampler: Literal["weighted", "m-per-class"] = "weighted"
    per_class: Count = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a run.

    Attributes
    ----------
    threads : int or None
        What PyTorch may use; None means every core this process may run on.
    device : text
        ``auto`` takes the GPU where there is one. Only the CPU repeats a run to the last bit.
    """

    network: NetworkSettings
    loss: LossSettings
    optimiser: OptimiserSettings
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    threads: Count | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        """Refuse planted defects for a loss whose classes have anchors: a planted class has none."""
        if self.augmentation.planted and self.loss.loss in ANCHORED:
            message = f"{self.loss.loss} takes no planted defects, expected augmentation.planted=0"
            raise ValueError(message)
