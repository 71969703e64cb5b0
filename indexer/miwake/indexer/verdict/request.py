"""What may be asked of a threshold set: promises, costs, or the thresholds themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal

from miwake.indexer.errors import DataError
from miwake.indexer.verdict.costs import CostMatrix

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS = (
    ("max_escape", "max_escape_of", "per_class", "pass_at_most"),
    ("max_overkill", "reject_at_least"),
    ("cost", "reject_share"),
    ("sure_at_least",),
    ("novelty_false_alarms",),
    ("health_at_most",),
)
"""What replaces what: to ask for one of a group drops what was asked of it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRequest:
    """What is asked of a threshold set; what is not asked stays as the generation's own thresholds have it.

    Attributes
    ----------
    max_escape : float, optional
        At most this share of the reject parts may be decided PASS.
    max_escape_of : mapping of label to float
        The same of the parts of one class.
    per_class : bool
        Whether ``max_escape`` holds for each reject class that has enough calibration parts, too.
    max_overkill : float, optional
        At most this share of the pass parts may be decided REJECT.
    pass_at_most, reject_at_least : float, optional
        The thresholds themselves, in place of a promise.
    cost : CostMatrix, optional
        Of all thresholds that keep the promises, those with the least expected cost.
    reject_share : float, optional
        Share of rejects on the line, for the expected cost; by default that among the calibration rows.
    sure_at_least : float, optional
        Where there are no pass labels: the least probability of a label that is not REVIEW.
    novelty_false_alarms : float, optional
        At most this share of the vectors of known classes may be UNKNOWN.
    health_at_most : float or 'off', optional
        No PASS where a health statistic deviates by more than this many times its limit; off: whatever its health.

    Raises
    ------
    DataError
        If a share is not between 0 and 1, or a threshold and a promise are asked for the same decision.
    """

    max_escape: float | None = None
    max_escape_of: dict[int, float] = field(default_factory=dict)
    per_class: bool = False
    pass_at_most: float | None = None
    max_overkill: float | None = None
    reject_at_least: float | None = None
    cost: CostMatrix | None = None
    reject_share: float | None = None
    sure_at_least: float | None = None
    novelty_false_alarms: float | None = None
    health_at_most: float | Literal["off"] | None = None

    def __post_init__(self) -> None:
        shares = (self.max_escape, *self.max_escape_of.values(), self.max_overkill)
        for share in (*shares, self.reject_share, self.novelty_false_alarms):
            _check(share, "share", low=0.0, high=1.0, includes_ends=False)
        for threshold in (self.pass_at_most, self.reject_at_least, self.sure_at_least):
            _check(threshold, "threshold", low=0.0, high=1.0, includes_ends=True)
        if self.health_at_most != "off":
            _check(self.health_at_most, "deviation", low=0.0, high=math.inf, includes_ends=False)
        if self.pass_at_most is not None and (self.promises_escape or self.per_class):
            message = "pass_at_most and a promise about escapes: expected one of them"
            raise DataError(message)
        if self.reject_at_least is not None and self.max_overkill is not None:
            message = "reject_at_least and a promise about overkill: expected one of them"
            raise DataError(message)
        if self.per_class and self.max_escape is None:
            message = "per class, but no share for each: expected max_escape"
            raise DataError(message)
        if self.reject_share is not None and self.cost is None:
            message = "a share of rejects, but no costs that it would weigh"
            raise DataError(message)

    def __bool__(self) -> bool:
        return any(any(self._asked(group)) for group in GROUPS)

    @property
    def promises_escape(self) -> bool:
        """Whether anything is promised about escapes."""
        return self.max_escape is not None or bool(self.max_escape_of)

    @property
    def promises(self) -> bool:
        """Whether anything is promised that must be shown."""
        return self.promises_escape or self.max_overkill is not None or self.novelty_false_alarms is not None

    def over(self, earlier: ThresholdRequest) -> ThresholdRequest:
        """Return what is asked now together with what was asked earlier and is not replaced."""
        kept = [name for group in GROUPS if not any(self._asked(group)) for name in group]
        return replace(self, **{name: getattr(earlier, name) for name in kept})

    def _asked(self, group: tuple[str, ...]) -> list[bool]:
        defaults = {one.name: one for one in fields(self)}
        return [getattr(self, name) != (defaults[name].default if name != "max_escape_of" else {}) for name in group]


def _check(value: float | None, what: str, *, low: float, high: float, includes_ends: bool) -> None:
    if value is None:
        return
    if not math.isfinite(value) or not (low <= value <= high if includes_ends else low < value < high):
        message = f"{what} {value:g}: expected a number between {low:g} and {high:g}"
        raise DataError(message)


def share_of(text: str) -> float:
    """Return the share that ``0.1%`` or ``0.001`` says.

    Raises
    ------
    DataError
        If it says something else.
    """
    stripped = text.strip()
    try:
        return float(stripped[:-1]) / 100 if stripped.endswith("%") else float(stripped)
    except ValueError:
        message = f"{text!r}: expected a share such as 0.1% or 0.001"
        raise DataError(message) from None


def deviation_of(text: str) -> float | Literal["off"]:
    """Return the deviation that ``1.5`` says, or ``off``.

    Raises
    ------
    DataError
        If it says something else.
    """
    if text.strip() == "off":
        return "off"
    try:
        return float(text)
    except ValueError:
        message = f"{text!r}: expected a number of limits such as 1.5, or off"
        raise DataError(message) from None


def escapes_of(texts: Sequence[str]) -> tuple[float | None, dict[int, float]]:
    """Return the share of all rejects, and that of single classes, that texts such as ``0.1%`` and ``44=1%`` say.

    Raises
    ------
    DataError
        If they say something else, or the same twice.
    """
    found: dict[int | None, float] = {}
    for text in texts:
        label, is_of_class, share = text.rpartition("=")
        try:
            whose = int(label) if is_of_class else None
        except ValueError:
            message = f"{text!r}: expected a label and its share, such as 44=1%"
            raise DataError(message) from None
        if whose in found:
            message = f"{text!r}: a share for the same rejects was given before"
            raise DataError(message)
        found[whose] = share_of(share)
    return found.pop(None, None), {label: share for label, share in found.items() if label is not None}
