"""The vote with SOART3 beside that by distance, and the nearest class mean by either, in several spaces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from bench.soart3_value.rows import accuracy_difference, told
from miwake.indexer.answers import LabelMethod
from miwake.indexer.search.exact import find_exactly
from miwake.indexer.soart3.kernel import measures_all, measures_by_id
from miwake.indexer.verdict.calibrate import N_RANDOM_PAIRS, POWERS
from miwake.indexer.verdict.calibration import RerankSettings, VoteSettings
from miwake.indexer.verdict.match import fit_mix
from miwake.indexer.verdict.measuring import Bench
from miwake.indexer.verdict.votes import count, distance_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bench.soart3_value.rows import Rows
    from miwake.indexer.verdict.calibration import Space
    from miwake.indexer.verdict.weighing import Weighed

    Labels = NDArray[np.int32]

N_CANDIDATES, N_VOTING = 100, 15


def vote_table(runs: Sequence[Rows]) -> Table:
    """Return how much more often the SOART3 vote is right than the vote by distance; mixes of calibration parts."""
    table = Table(
        "space", "p", "vote", "SOART3 vote", "difference in points", title="Vote of the 15 nearest references"
    )
    spaces: tuple[tuple[str, Sequence[Rows], Space], ...] = (
        ("embedding", runs, "embedding"),
        ("maps of those near as embeddings", runs, "raw"),
        ("maps alone", [with_maps(runs[0])], "embedding"),
    )
    for name, sides, space in spaces:
        asked = [benches(rows) for rows in sides]
        for p_eta, p_gamma in POWERS:
            settings = RerankSettings(space=space, p_eta=p_eta, p_gamma=p_gamma, n_candidates=N_CANDIDATES)
            found = [weighed(fitting, asking, settings)[1] for fitting, asking in asked]
            plain, soart3 = (
                [rows.classes.labels[one.method_columns[:, method - 1]] for rows, one in zip(sides, found, strict=True)]
                for method in (LabelMethod.VOTE, LabelMethod.SOART3_VOTE)
            )
            table.add_row(name, f"{p_eta}/{p_gamma}", *_compared(sides[0], plain, soart3))
    by_map = [_plain_vote(rows, with_maps(rows)) for rows in runs]
    plain = [_plain_vote(rows, rows) for rows in runs]
    table.add_row("maps of those near as embeddings", "distance", *_compared(runs[0], plain, by_map))
    return table


def _plain_vote(rows: Rows, compared: Rows) -> Labels:
    """Return the vote (Q,) by distance, of those nearest as compared among those nearest as embeddings."""
    _, asking = benches(rows)
    known, asked = compared.fit.embeddings, compared.held_out.embeddings
    found = measures_by_id(asked, known, asking.positions).distance
    order = np.argsort(found, axis=1, kind="stable")[:, :N_VOTING]
    distances = np.take_along_axis(found, order, axis=1)
    weights = distance_weights(distances, max(float(np.median(distances[:, -1])), 1e-6))
    columns = asking.reference_columns[np.take_along_axis(asking.positions, order, axis=1)]
    return rows.classes.labels[count(columns, weights, rows.classes).winners(rows.classes)]


def mean_table(runs: Sequence[Rows]) -> Table:
    """Return how much more often the nearest class mean by match distance is right than the nearest by distance."""
    table = Table("space", "p", "Euclidean", "SOART3", "difference in points", title="Nearest class mean")
    for space, sides in (("embedding", runs), ("maps alone", [with_maps(runs[0])])):
        means = [rows.means(rows.fit.embeddings) for rows in sides]
        plain = [
            rows.classes.labels[measures_all(rows.held_out.embeddings, one).distance.argmin(axis=1)]
            for rows, one in zip(sides, means, strict=True)
        ]
        for p_eta, p_gamma in POWERS:
            found = [
                rows.classes.labels[_by_match(rows, one, p_eta, p_gamma).argmin(axis=1)]
                for rows, one in zip(sides, means, strict=True)
            ]
            table.add_row(space, f"{p_eta}/{p_gamma}", *_compared(sides[0], plain, found))
    return table


def benches(rows: Rows) -> tuple[Bench, Bench]:
    """Return the calibration rows, and the held-out ones, each against all references and the mean embeddings."""
    sample, calibration, held_out = rows.sample()
    references = np.arange(len(rows.fit.labels))
    columns = rows.classes.columns(sample.labels)
    means = rows.means(rows.fit.embeddings)

    def of(chosen: NDArray[np.intp]) -> Bench:
        return Bench(
            sample=sample,
            rows=chosen,
            anchor_distances=measures_all(sample.embeddings[chosen], means).distance,
            classes=rows.classes,
            reference_columns=columns,
            truth=columns[chosen],
            positions=find_exactly(sample.embeddings[chosen], sample.embeddings, references, N_CANDIDATES),
            random_positions=np.random.default_rng(0).integers(0, len(references), (len(chosen), N_RANDOM_PAIRS)),
            folds=np.zeros(len(chosen), dtype=np.intp),
        )

    return of(calibration), of(held_out)


def weighed(fitting: Bench, asking: Bench, settings: RerankSettings) -> tuple[Weighed, Weighed]:
    """Return what both votes say of the rows that a mix is fitted on, and of those that are asked."""
    measured = fitting.measured(settings)
    mix = measured.fit_mix(np.arange(len(fitting.truth)))
    bandwidth = max(float(np.median(measured.candidates.distances[:, N_VOTING - 1])), 1e-6)
    vote = VoteSettings(n_voting=N_VOTING, bandwidth=bandwidth)
    return fitting.weigh(measured.candidates, mix, vote), asking.weigh(asking.candidates(settings), mix, vote)


def with_maps(rows: Rows) -> Rows:
    """Return the rows with their maps in the place of their embeddings, as if there were no network."""
    fit, calibration, held_out = (
        replace(side, embeddings=side.maps) for side in (rows.fit, rows.calibration, rows.held_out)
    )
    return replace(rows, fit=fit, calibration=calibration, held_out=held_out)


def _by_match(rows: Rows, means: NDArray[np.float32], p_eta: int, p_gamma: int) -> NDArray[np.float64]:
    """Return the scores (Q, C) of the held-out rows with each class mean, by a mix of calibration rows with them."""
    fitted = measures_all(rows.calibration.embeddings, means, p_eta=p_eta, p_gamma=p_gamma)
    same = rows.calibration.labels[:, None] == rows.classes.labels
    mix = fit_mix(fitted.beta.ravel(), fitted.eta.ravel(), fitted.gamma.ravel(), same.ravel())
    asked = measures_all(rows.held_out.embeddings, means, p_eta=p_eta, p_gamma=p_gamma)
    return mix.scores(asked.beta, asked.eta, asked.gamma)


def _compared(rows: Rows, first: Sequence[Labels], second: Sequence[Labels]) -> tuple[str, str, str]:
    truth = rows.held_out.labels
    one, two = (float(np.mean([(labels == truth).mean() for labels in found])) for found in (first, second))
    return f"{100 * one:.2f} %", f"{100 * two:.2f} %", told(accuracy_difference(rows.held_out, first, second))
