"""Clouds and histograms: pair distances, the map of the embeddings, novelty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.training.report.drawing import (
    BLACK,
    BLUE,
    NAMES,
    ORANGE,
    VERMILLION,
    WIDTH,
    Drawing,
    cut,
    drawn_like_this,
    panels,
    png_of,
    point_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from miwake.training.report.findings import Findings
    from miwake.training.report.pair_distances import Spread
    from miwake.training.report.watching import Novelty

MOST_POINTS = 4_000
"""Embeddings in a map: past this the points only hide each other."""


def pairs_drawing(findings: Findings) -> Drawing | None:
    """Draw how matching and mismatching pairs are spread, by each distance; None where there are none of a kind."""
    spreads = findings.pairs.spreads()
    if not spreads:
        return None
    with drawn_like_this():
        figure, axes = panels(len(spreads), 3.5)
        for axis, (name, one) in zip(axes, spreads.items(), strict=True):
            _histogram(axis, one)
            axis.set(xlabel=NAMES[name], title=f"overlap {one.overlap:.3f}")
        axes[0].set_ylabel("share of the pairs, by bin")
        axes[0].legend(loc="upper center", fontsize=8.5)
        png = png_of(figure)
    first = next(iter(spreads.values()))
    overlaps = ", ".join(f"{NAMES[name]} {one.overlap:.3f}" for name, one in spreads.items())
    return Drawing(
        name="pair-distances",
        png=png,
        alt=f"Histograms of matching and mismatching pair distances; their overlap: {overlaps}.",
        caption=f"{first.n_matching:,} pairs of one class (filled) and {first.n_mismatching:,} pairs of two (outlined, "
        "hatched), each a query and a reference of another part. The overlap is what both have in common, the sum over "
        "bins of the smaller share: 0 where they are apart, 1 where they are the same.",
    )


def scatter_drawing(findings: Findings) -> Drawing | None:
    """Draw cosine against Euclidean distance of some pairs; None where there are none."""
    sample = findings.pairs.sample()
    if not len(sample.is_matching):
        return None
    cosine, euclidean = sample.distances["cosine"], sample.distances["euclidean"]
    with drawn_like_this():
        figure, (axis,) = panels(1, 4.2, width=6.4)
        for kind, marker, colour, label in (
            (~sample.is_matching, "^", ORANGE, "pairs of two classes"),
            (sample.is_matching, "o", BLUE, "pairs of one class"),
        ):
            axis.scatter(
                euclidean[kind], cosine[kind], s=14, marker=marker, color=colour, alpha=0.45, linewidths=0,
                label=f"{label} ({int(kind.sum()):,})",
            )  # fmt: skip
        axis.set(xlabel="Euclidean distance", ylabel="cosine distance (1 − cosine)")
        _legend(axis, loc="upper left")
        png = png_of(figure)
    if findings.examined.trial.is_unit:
        told = (
            "All embeddings have length 1: cosine distance is half the square of the Euclidean one, the points lie on "
            "one curve, and both order references alike."
        )
    else:
        told = (
            f"Embeddings keep their lengths, so the two distances differ; their correlation here is "
            f"{_correlation(cosine, euclidean):.3f}."
        )
    return Drawing(
        name="cosine-euclidean",
        png=png,
        alt=f"Cosine against Euclidean distance of {len(cosine):,} pairs.",
        caption=f"A sample of the same pairs, drawn with a fixed seed. {told}",
    )


def map_drawing(findings: Findings) -> Drawing:
    """Draw the embeddings of the queries in their two principal axes, coloured by label."""
    labels, pass_labels = findings.examined.queries.labels, findings.examined.queries.pass_labels
    places, shares = principal_map(findings.examined.trial.queries.embeddings)
    rows = np.arange(len(labels))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
    with drawn_like_this():
        figure, (axis,) = panels(1, 5.4, width=WIDTH)
        kinds = np.unique(labels[rows])
        for place, label in enumerate(sorted(kinds.tolist(), key=lambda one: one not in pass_labels)):
            chosen = rows[labels[rows] == label]
            colour, marker = point_style(place)
            axis.scatter(
                places[chosen, 0], places[chosen, 1], s=18, color=colour, marker=marker, alpha=0.6, linewidths=0,
                label=cut(findings.name_and_side(label)),
            )  # fmt: skip
        axis.set(xlabel=f"first axis, {100 * shares[0]:.0f} % of the variance")
        axis.set(ylabel=f"second axis, {100 * shares[1]:.0f} %")
        _legend(axis, loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=1 + len(kinds) // 21)
        png = png_of(figure)
    sampled = f" ({len(rows):,} of {len(labels):,} drawn)" if len(rows) < len(labels) else ""
    return Drawing(
        name="embedding-map",
        png=png,
        alt=f"Map of {len(rows):,} embeddings of {len(kinds)} labels in their two principal axes.{_gap(findings)}",
        caption=f"Each point is a query{sampled}, placed by the two directions in which the embeddings vary most; the "
        "axes say how much of the variance they hold, and what overlaps here may be apart in the others."
        + _gap(findings),
    )


def principal_map(embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where (N, D) embeddings lie on their two principal axes, (N, 2), and the share of the variance on each.

    Each axis points to where its largest weight is positive, so that a map does not flip from machine to machine.
    """
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.atleast_2d(centred.T @ centred))
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    shares = np.maximum(values[::-1][:2], 0) / max(float(np.maximum(values, 0).sum()), np.finfo(np.float64).tiny)
    missing = 2 - axes.shape[1]
    return np.pad(centred @ axes, ((0, 0), (0, missing))), np.pad(shares, (0, missing))


def novelty_drawing(novelty: Novelty) -> Drawing:
    """Draw how far queries lie from the references, with the bound beyond which they are UNKNOWN."""
    finite = np.isfinite(novelty.distances)
    known, new = novelty.distances[finite & novelty.is_known], novelty.distances[finite & ~novelty.is_known]
    edges = np.histogram_bin_edges(novelty.distances[finite], 50)
    with drawn_like_this():
        figure, (axis,) = panels(1, 3.2, width=7.4)
        axis.stairs(
            np.histogram(known, edges)[0], edges, fill=True, color=BLUE, alpha=0.75,
            label=f"classes that the references have ({len(known):,})",
        )  # fmt: skip
        if len(new):
            axis.stairs(
                np.histogram(new, edges)[0], edges, color=ORANGE, linewidth=1.4, hatch="////",
                label=f"classes that they do not have ({len(new):,})",
            )  # fmt: skip
        for number, bound in enumerate(np.unique(novelty.bound).tolist()):
            axis.axvline(bound, color=VERMILLION, linestyle="--", label=None if number else f"bound {bound:.3g}")
        axis.set(xlabel="mean distance to the nearest references", ylabel="queries")
        axis.legend(fontsize=8.5)
        png = png_of(figure)
    return Drawing(
        name="novelty",
        png=png,
        alt="Histogram of the mean distance of queries to their nearest references, with the bound for UNKNOWN.",
        caption="Beyond the dashed bound, which is set on calibration parts, a new index answers UNKNOWN: the part is "
        "far from everything known, and its label is only the nearest of strangers.",
    )


def _gap(findings: Findings) -> str:
    if findings.gap is None:
        return ""
    return (
        f" Passes and rejects lie {findings.gap.d_prime:.2f} standard deviations apart (d′) along the direction, among "
        "all dimensions, that tells those of the references apart best."
    )


def _histogram(axis: Axes, one: Spread) -> None:
    axis.stairs(one.matching, one.edges, fill=True, color=BLUE, alpha=0.75, label="pairs of one class")
    axis.stairs(
        one.mismatching, one.edges, fill=False, color=VERMILLION, linewidth=1.4, hatch="////",
        label="pairs of two classes",
    )  # fmt: skip
    axis.set_ylim(0, 1.28 * float(max(one.matching.max(), one.mismatching.max())))
    axis.axhline(0, color=BLACK, linewidth=0.8)


def _legend(axis: Axes, **places: Any) -> None:
    """Draw a legend whose points are larger, and not as pale, as those in a cloud."""
    for handle in axis.legend(fontsize=8.5, markerscale=1.8, **places).legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.corrcoef(first, second)[0, 1]) if first.std() and second.std() else 0.0
