"""Rates in words, the same on every page and in every table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from miwake.indexer.evaluation import Rate

NOTHING = "–"
"""Stands where there is nothing to tell, as for escapes without pass labels."""


def percent(share: float | None, *, signed: bool = False) -> str:
    """Return a share in per cent, with its sign where it is a change."""
    if share is None:
        return NOTHING
    return f"{100 * share:+.2f} %" if signed else f"{100 * share:.2f} %"


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """Return an interval of shares."""
    sign = "+" if signed else ""
    return f"({100 * low:{sign}.2f} … {100 * high:{sign}.2f})"


def rate_text(rate: Rate | None) -> str:
    """Return a rate with its interval and its counts."""
    return NOTHING if rate is None else f"{share_text(rate)}, {counts_text(rate)}"


def share_text(rate: Rate | None) -> str:
    """Return a rate with its interval."""
    return NOTHING if rate is None else f"{percent(rate.value)} {interval(rate.low, rate.high)}"


def counts_text(rate: Rate | None) -> str:
    """Return how many of how many."""
    return NOTHING if rate is None else f"{rate.n_counted:,} of {rate.n_rows:,}"


def number(value: float | None) -> str:
    """Return a figure that is no share, such as an area under a curve, with four digits."""
    return NOTHING if value is None else f"{value:.4f}"
