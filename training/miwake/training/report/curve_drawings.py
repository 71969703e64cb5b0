"""Curves: 1:1 and 1:N, pass against reject, reliability, and how training went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from miwake.indexer.telling.rates import number, percent
from miwake.training.report.drawing import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    LINES,
    NAMES,
    ORANGE,
    THICKNESSES,
    VERMILLION,
    Drawing,
    counted,
    drawn_like_this,
    in_percent,
    panels,
    png_of,
)
from miwake.training.report.reliability import calibration_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from miwake.indexer.assessing.trial import Distance
    from miwake.indexer.evaluation import Rate
    from miwake.training.report.findings import Findings
    from miwake.training.report.learning import Learning

GALLERIES = {"references": "against references", "anchors": "against class-mean anchors"}
LEAST_RATE = 1e-4
"""Where an axis of rates begins: a rate of 0 has no place on a logarithmic one."""


def verification_drawing(findings: Findings) -> Drawing:
    """Draw the ROC curves of 1:1 verification."""
    evaluation = findings.evaluation
    with drawn_like_this():
        figure, axes = panels(2, 4.0)
        for axis, (gallery, title) in zip(axes, GALLERIES.items(), strict=True):
            for name, one in evaluation.verification[gallery].items():
                points = [(at.false_rate, at.true_rate) for at in one.curve if at.true_rate is not None]
                if points:
                    label = f"{NAMES[name]}: AUC {number(one.auc)}, EER {percent(one.equal_error_rate)}"
                    _plot(axis, name, np.array(points), label)
            _rates(axis, "false accepts (pairs of two classes accepted)", "true accepts")
            axis.set_title(title)
            axis.legend(loc="best", fontsize=8.5)
        png = png_of(figure)
    aucs = ", ".join(f"{NAMES[name]} {number(one.auc)}" for name, one in evaluation.verification["references"].items())
    return Drawing(
        name="roc-verification",
        png=png,
        alt=f"ROC curves of 1:1 verification; areas under the curves against references: {aucs}.",
        caption="Is this pair of one class? A pair is accepted where its distance is at most a threshold; each point "
        "of a curve is one threshold. Higher and further left is better. The axis of false accepts is logarithmic: the "
        "few that a line can bear are on its left. Where curves of two distances are one, these order pairs alike.",
    )


def identification_drawing(findings: Findings) -> Drawing:
    """Draw the cumulative match curves of 1:N identification."""
    evaluation = findings.evaluation
    with drawn_like_this():
        figure, axes = panels(2, 3.5)
        for axis, (gallery, title) in zip(axes, GALLERIES.items(), strict=True):
            lowest = 1.0
            for name, one in evaluation.identification[gallery].items():
                ranks = np.arange(1, len(one.cumulative) + 1)
                label = NAMES[name] + ("" if one.rank_1 is None else f": nearest {percent(one.rank_1.value)}")
                _plot(axis, name, np.column_stack([ranks, one.cumulative]), label)
                lowest = min([lowest, *one.cumulative])
            axis.set(xlabel="rank: so many nearest are looked at", ylabel="queries whose class is found", title=title)
            axis.set_ylim(max(lowest - 0.1, 0.0), 1.01)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.legend(loc="lower right", fontsize=8.5)
        png = png_of(figure)
    found = evaluation.identification["references"]["euclidean"]
    return Drawing(
        name="cumulative-match",
        png=png,
        alt="Cumulative match curves of 1:N identification; among references by Euclidean distance the class is "
        f"nearest for {_share(found.rank_1)} and among the 5 nearest for {_share(found.rank_5)} of the queries.",
        caption="Which class is this? The share of the queries that find one of their class among so many nearest "
        "references (left) or anchors (right); rank 1 is the nearest. A tie counts against the query.",
    )


def trade_off_drawing(findings: Findings) -> Drawing | None:
    """Draw the ROC curve of the probability of a reject, and escapes against overkills; None without either."""
    found, way = findings.trade_off, findings.answering
    if found is None:
        return None
    with drawn_like_this():
        figure, (roc, trade) = panels(2, 4.0)
        roc.plot(found.overkill, 1 - found.escape, color=BLUE, label=f"AUC {number(found.separation.auc)}")
        roc.plot((0, 1), (0, 1), ":", color="#666666", label="by chance")
        roc.set(xlabel="overkills, of all passes", ylabel="rejects caught, of all rejects", title="ROC of rejects")
        least = 0.5 / max(findings.evaluation.n_queries, 1)
        trade.step(np.maximum(found.overkill, least), np.maximum(found.escape, least), where="post", color=BLUE)
        trade.set(xscale="log", yscale="log", xlim=(least, 1.1), ylim=(least, 1.1), title="escapes against overkills")
        trade.set(xlabel="overkills, of all passes", ylabel="escapes, of all rejects")
        if way.escape is not None and way.overkill is not None:
            at, label = (way.overkill.value, way.escape.value), f"labels as answered, by {findings.way}"
            roc.plot(at[0], 1 - at[1], "D", color=VERMILLION, markersize=8, label=label)
            trade.plot(*np.maximum(at, least), "D", color=VERMILLION, markersize=8, label=label)
        for axis in (roc, trade):
            axis.legend(fontsize=8.5)
        for scale in (trade.xaxis, trade.yaxis):
            scale.set_major_formatter(in_percent)
        png = png_of(figure)
    return Drawing(
        name="roc-rejects",
        png=png,
        alt=f"ROC curve of the probability of a reject, area {number(found.separation.auc)}; escapes against "
        f"overkills: {percent(found.escape_at(0.05))} escape at 5 % overkill.",
        caption="What a threshold on the probability of a reject costs. On the left the usual ROC curve; on the right "
        "the same points as the two errors of an inspection, both on logarithmic axes: nearer to the lower left corner "
        "is better. The diamond is where the answered labels lie.",
    )


def reliability_drawing(findings: Findings) -> Drawing | None:
    """Draw right answers against probabilities, with the count of each bin; None where the way tells none."""
    bins = findings.bins
    if not bins:
        return None
    middle = np.array([(one.low + one.high) / 2 for one in bins])
    told, right = (np.array(one) for one in zip(*((one.probability, one.right.value) for one in bins), strict=True))
    low, high = (np.array(one) for one in zip(*((one.right.low, one.right.high) for one in bins), strict=True))
    counts = [one.right.n_rows for one in bins]
    error = calibration_error(bins)
    with drawn_like_this():
        figure, (share, number_of) = panels(2, 3.8)
        share.plot((0, 1), (0, 1), ":", color="#666666", label="what is told is what happens")
        share.errorbar(
            told, right, yerr=(np.maximum(right - low, 0), np.maximum(high - right, 0)), fmt="o", color=BLUE, capsize=3,
            label="answers, with 95 % intervals over parts",
        )  # fmt: skip
        share.set(xlabel="probability told", ylabel="share of right answers", xlim=(0, 1.02), ylim=(0, 1.02))
        share.set_title(f"expected calibration error {error:.4f}")
        share.legend(loc="upper left", fontsize=8.5)
        width = bins[0].high - bins[0].low
        bars = number_of.bar(middle, counts, 0.9 * width, color=ORANGE, edgecolor=BLACK, linewidth=0.6)
        number_of.bar_label(bars, [f"{count:,}" for count in counts], fontsize=7.5, padding=2)
        number_of.set(xlabel="probability told", ylabel="answers", xlim=(0, 1.02), yscale="log", title="answers a bin")
        number_of.set_ylim(0.7, 3 * max(counts))
        number_of.yaxis.set_major_formatter(counted)
        png = png_of(figure)
    return Drawing(
        name="reliability",
        png=png,
        alt=f"Reliability diagram of {len(bins)} bins; the expected calibration error is {error:.4f}.",
        caption=f"Answers by {findings.way}, in 15 equal bins of the probability that was told. Points on the dotted "
        "line are honest, below it answers are surer than right. The expected calibration error is the mean distance "
        "from the line, each bin weighed by its answers, which stand on the right.",
    )


def learning_drawing(learning: Learning, best_step: int | None) -> Drawing:
    """Draw the loss and the validation metric of a run."""
    with drawn_like_this():
        figure, (loss, score) = panels(2, 3.4)
        loss.plot(learning.steps, learning.losses, color=BLUE)
        loss.set(xlabel="step", ylabel="training loss", title="loss")
        steps = learning.validation_steps
        score.plot(steps, learning.accuracy, "-o", color=BLUE, markersize=5, label="accuracy")
        score.plot(steps, learning.balanced_accuracy, "--s", color=VERMILLION, markersize=5, label="balanced accuracy")
        score.set(xlabel="step", ylabel="share, calibration parts", title="vote of the 15 nearest")
        if best_step is not None:
            for axis in (loss, score):
                axis.axvline(best_step, color=GREEN, linestyle=":", label=f"kept: step {best_step:,}")
        score.legend(loc="lower right", fontsize=8.5)
        png = png_of(figure)
    last = f", at the end {learning.accuracy[-1]:.4f}" if learning.accuracy else ""
    return Drawing(
        name="training",
        png=png,
        alt=f"Training loss and validation accuracy over {learning.steps[-1]:,} steps{last}.",
        caption=f"{learning.steps[-1]:,} of {learning.n_steps:,} steps in {learning.seconds:,.0f} s. On the left the "
        "mean training loss; on the right what is measured on calibration parts, which the network is not fitted on. "
        "The dotted line is the checkpoint that was kept.",
    )


def _plot(axis: Axes, name: Distance, points: NDArray[np.float64], label: str) -> None:
    axis.plot(*points.T, LINES[name], color=COLOURS[name], linewidth=THICKNESSES[name], label=label)


def _rates(axis: Axes, false: str, true: str) -> None:
    axis.set(xscale="log", xlim=(LEAST_RATE, 1.05), ylim=(-0.01, 1.02), xlabel=false, ylabel=true)
    axis.xaxis.set_major_formatter(in_percent)


def _share(rate: Rate | None) -> str:
    return percent(None if rate is None else rate.value)
