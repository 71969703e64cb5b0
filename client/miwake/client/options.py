"""How neighbours are found, and which evidence comes with a verdict, where that is to be other than usual."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from miwake.client.errors import InvalidQueryError

Space = Literal["embedding", "raw"]

LARGEST_POWER = 8
MOST_CANDIDATES = 10_000
LONGEST_WITHIN_S = 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchMix:
    """The weights of the match distance, 1 / (1 + exp(-(bias + sum of weight x measure))).

    Attributes
    ----------
    scale_weight, deviation_weight : float
        Of ``|beta - 1|`` and of eta, not negative.
    spread_weight : float
        Of gamma; either sign.
    bias : float
    """

    scale_weight: float
    deviation_weight: float
    spread_weight: float
    bias: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale_weight", "deviation_weight", "spread_weight", "bias"):
            _check_weight(name, getattr(self, name), least=0.0 if name[:2] in ("sc", "de") else -math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How the neighbours of a vector are found. None leaves an option as the station's index was calibrated.

    With anything changed, match distances rank the neighbours of one vector, and are no probabilities.

    Attributes
    ----------
    p_eta, p_gamma : int or None
        Which norms of the residuals make eta and gamma, 1 … 8.
    space : 'embedding', 'raw' or None
        Where SOART3 compares; raw maps on a scale of 0 … 1.
    mix : MatchMix or None
        The weights of the match distance.
    n_candidates : int or None
        How many nearest references are re-ranked, 1 … 10,000; never fewer than the neighbours that are asked for.
    exhaustive : bool
        Re-rank every reference instead; takes time in proportion to their number.

    Raises
    ------
    InvalidQueryError
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
            message = f"space {self.space!r}, expected one of {', '.join(get_args(Space))}"
            raise InvalidQueryError(message)
        if self.exhaustive and self.n_candidates is not None:
            message = f"n_candidates {self.n_candidates} beside exhaustive, which takes all of them"
            raise InvalidQueryError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Which evidence comes with a verdict, and when the answer comes. It never changes the verdict.

    Attributes
    ----------
    neighbours : bool
        Whether the neighbours come, which are most of an answer's bytes.
    anchors : bool
        Whether the distances to the class anchors come.
    residuals : bool
        Whether the residuals come: what is left of the vector beside its reference map.
    search : SearchOptions or None
        How the neighbours are found; None: as they were for the verdict.
    answer_within_s : float or None
        A vector that has waited in the server for this long gets an ``ItemError`` with the reason EXPIRED instead of a
        verdict, in seconds; None: it waits for as long as it takes.
    await_record : bool
        Whether each answer is held back until it is in the server's verdict log. Refused by a server that keeps none.

    Raises
    ------
    InvalidQueryError
        If ``answer_within_s`` is not positive.
    """

    neighbours: bool = True
    anchors: bool = True
    search: SearchOptions | None = None
    answer_within_s: float | None = None
    await_record: bool = False
    residuals: bool = True

    def __post_init__(self) -> None:
        within_s = self.answer_within_s
        if within_s is not None and not 0 < within_s <= LONGEST_WITHIN_S:
            message = f"answer_within_s {within_s!r}, expected more than 0, and no more than a year"
            raise InvalidQueryError(message)


def _check_integer(option: str, value: Any, highest: int) -> None:
    if value is None:
        return
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= highest:
        message = f"{option} {value!r}, expected an integer in 1 … {highest}"
        raise InvalidQueryError(message)


def _check_weight(name: str, value: Any, least: float) -> None:
    try:
        is_good = math.isfinite(value) and value >= least
    except TypeError:
        is_good = False
    if not is_good:
        message = f"{name} {value!r}, expected a finite number" + (" of at least 0" if least == 0 else "")
        raise InvalidQueryError(message)
