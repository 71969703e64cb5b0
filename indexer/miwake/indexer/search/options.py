"""What a query may change about how its neighbours are found; what it leaves open is as the index was calibrated."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from miwake.indexer.errors import SearchOptionsError
from miwake.indexer.soart3.plain import LARGEST_POWER
from miwake.indexer.verdict.calibration import Space

if TYPE_CHECKING:
    from miwake.indexer.verdict.calibration import RerankSettings
    from miwake.indexer.verdict.match import MatchMix

MOST_CANDIDATES = 10_000
"""How many candidates one query may ask for."""

LARGEST_WEIGHT = 1e6
"""The size of a weight of the mix: past that all match distances are 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How the neighbours of a query are found. None leaves an option as the index was calibrated.

    The match distance is calibrated for the calibrated options only. With others the neighbours are ranked by it all
    the same, and it is a number to compare them by, no probability.

    Attributes
    ----------
    p_eta, p_gamma : int or None
        Which norms of the residuals make eta and gamma, 1 … 8.
    space : 'embedding', 'raw' or None
        Where SOART3 compares; raw maps on a scale of 0 … 1.
    mix : MatchMix or None
        The weights of the match distance.
    n_candidates : int or None
        M, how many nearest references are re-ranked, 1 … ``MOST_CANDIDATES``; never fewer than are asked for.
    exhaustive : bool
        Re-rank every reference instead.

    Raises
    ------
    SearchOptionsError
        If one is outside its bounds.
    """

    p_eta: int | None = None
    p_gamma: int | None = None
    space: Space | None = None
    mix: MatchMix | None = None
    n_candidates: int | None = None
    exhaustive: bool = False

    def __post_init__(self) -> None:
        _check_integer("p_eta", self.p_eta, LARGEST_POWER)
        _check_integer("p_gamma", self.p_gamma, LARGEST_POWER)
        _check_integer("n_candidates", self.n_candidates, MOST_CANDIDATES)
        if self.space is not None and self.space not in get_args(Space):
            raise SearchOptionsError(
                option="space", problem=f"{self.space!r}, expected one of {', '.join(get_args(Space))}"
            )
        if self.mix is not None:
            _check_mix(self.mix)
        if self.exhaustive and self.n_candidates is not None:
            raise SearchOptionsError(
                option="n_candidates", problem=f"{self.n_candidates} beside exhaustive, which takes all of them"
            )

    def applied_to(self, calibrated: RerankSettings) -> RerankSettings:
        """Return the settings of the index with these in their place."""
        given = {name: getattr(self, name) for name in ("space", "p_eta", "p_gamma", "n_candidates")}
        return replace(calibrated, **{name: value for name, value in given.items() if value is not None})


def _check_integer(option: str, value: Any, highest: int) -> None:
    if value is None:
        return
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= highest:
        raise SearchOptionsError(option=option, problem=f"{value!r}, expected an integer in 1 … {highest}")


def _check_mix(mix: MatchMix) -> None:
    for name in ("scale_weight", "deviation_weight", "spread_weight", "bias"):
        weight = getattr(mix, name)
        if not math.isfinite(weight) or abs(weight) > LARGEST_WEIGHT:
            raise SearchOptionsError(
                option=f"mix.{name}", problem=f"{weight}, expected a number of {-LARGEST_WEIGHT:g} … {LARGEST_WEIGHT:g}"
            )
    for name in ("scale_weight", "deviation_weight"):
        if getattr(mix, name) < 0:
            # Else an opposite or wildly scaled reference would be near.
            raise SearchOptionsError(option=f"mix.{name}", problem=f"{getattr(mix, name)}, expected at least 0")


AS_CALIBRATED = SearchOptions()
"""Nothing is changed."""
