"""A comparison in words and numbers, the same on a terminal and on a page."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from miwake.indexer.comparing.flips import ALARMS
from miwake.indexer.telling.rates import interval, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.indexer.comparing.comparison import Comparison
    from miwake.indexer.comparing.flips import Flip


def summary(comparison: Comparison) -> str:
    """Return in one sentence what would change."""
    flips = Counter(flip.effect for flip in comparison.flips if flip.effect)
    n_decided = sum("→" in flip.kind for flip in comparison.flips)
    told = ", ".join(
        f"{effect} {count}" for effect, count in sorted(flips.items(), key=lambda one: one[0] not in ALARMS)
    )
    return (
        f"{len(comparison.flips)} of {comparison.n_rows} verdicts change, {n_decided} of them the decision"
        + (f": {told}" if told else "; none of them makes or mends an error" if comparison.is_labelled else "")
        + "."
    )


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield what a comparison found, without the single flips."""
    for word, side in (("before", comparison.first), ("after", comparison.second)):
        yield (
            f"{word:7s}{side.generation} ({side.name}): {side.n_references} references at revision {side.revision}, "
            f"embedder {side.embedder} ({side.preset}), {side.method}, thresholds {side.threshold_set!r}"
        )
    yield (
        f"asked about {comparison.n_rows} rows of {comparison.n_parts} parts from {comparison.source}; left out: "
        f"{comparison.n_fitted} that an embedder was fitted on, {comparison.n_known} references without a part, "
        f"{comparison.n_refused} that cannot be judged"
    )
    for one in comparison.figures:
        yield (
            f"  {one.name:23s}{percent(one.first.value):>9s} → {percent(one.second.value):>9s}   "
            f"{percent(one.change.value, signed=True)} {interval(one.change.low, one.change.high, signed=True)}"
        )
    yield summary(comparison)


def truth(flip: Flip) -> str:
    """Return what a part was, as far as anybody knows."""
    return "not labelled" if flip.true_label is None else f"labelled {flip.true_label} {flip.true_failure_mode}".strip()


def flip_line(flip: Flip) -> str:
    """Return a flip as one line."""
    effect = f" [{flip.effect}]" if flip.effect else ""
    return (
        f"  {flip.kind}{effect} {flip.id} (part {flip.part or '?'}, {truth(flip)}): "
        f"{flip.first.label} at {flip.first.probability:.3f} near {flip.first.reference_id} → "
        f"{flip.second.label} at {flip.second.probability:.3f} near {flip.second.reference_id}"
    )
