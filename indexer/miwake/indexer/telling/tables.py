"""What the command line shows of an index, as Rich tables and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from miwake.indexer.telling.threshold_tables import chosen_lines, threshold_text
from miwake.indexer.verdict.reference_maps import LEAST_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.indexer.answers import NeighbourBatch
    from miwake.indexer.build import Built
    from miwake.indexer.search.recall import CandidateRecall
    from miwake.indexer.telling.describe import HealthDescription, StationDescription
    from miwake.indexer.telling.listing import ListedStation
    from miwake.indexer.verdict.calibration import Calibration, Measured, ResidualCalibration
    from miwake.indexer.verdict.pairs import PairCalibration


def built_lines(built: Built) -> Iterator[str]:
    """Yield what a build published."""
    added = f", {built.n_added} added" if built.n_added else ""
    reused = f", {built.n_reused} embeddings taken over" if built.n_reused else ""
    references = f"{built.n_references} references at revision {built.revision}"
    yield f"{built.station}: {built.generation}, {references}{added}{reused}"
    yield from calibration_lines(built.calibration)
    if built.thresholds is not None:
        thresholds = built.thresholds.thresholds
        yield f"served with {thresholds.name}: {threshold_text(thresholds)}"
        yield from chosen_lines(None, built.thresholds)


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """Yield what an index knows about itself, all of it measured on calibration parts by cross-fitting."""
    evidence, thresholds, rerank = calibration.evidence, calibration.thresholds, calibration.rerank
    yield (
        f"measured on {evidence.n_rows} calibration rows of {evidence.n_parts} parts that the embedder has not seen, "
        f"against {evidence.n_references} references, cross-fitted:"
    )
    if evidence.n_not_covered:
        yield f"  {evidence.n_not_covered} further rows are of classes without a reference, and were left out"
    for name, measured in evidence.methods.items():
        chosen = "  <- answers" if name == calibration.method else ""
        yield f"  {name:15s} {_rates(measured)}{chosen}"
    yield f"  calibration error of the probability {evidence.calibration_error:.3f}"
    if evidence.anchor_accuracy:
        tried = ", ".join(f"{kind} {accuracy:.4f}" for kind, accuracy in evidence.anchor_accuracy.items())
        yield f"  accuracy of the nearest anchor by kind, the first unless beaten beyond chance: {tried}"
    yield (
        f"SOART3 re-ranks {rerank.n_candidates} candidates in {rerank.space} space "
        f"with p_eta {rerank.p_eta}, p_gamma {rerank.p_gamma}; accuracy of its vote as tried: "
        + ", ".join(f"{name} {accuracy:.4f}" for name, accuracy in evidence.rerank_accuracy.items())
        + f"; without it {evidence.methods['vote'].accuracy:.4f}"
    )
    yield residuals_text(calibration.residuals)
    yield f"thresholds {thresholds.name!r}: {threshold_text(thresholds)}"
    yield pairs_text(calibration.pairs)


def residuals_text(residuals: ResidualCalibration | None) -> str:
    """Return what residuals against a reference map were offered, and whether they are weighed."""
    if residuals is None:
        return (
            "residuals against a reference map: none were offered to the reject probability, which takes "
            f"{LEAST_ROWS} rejects and as many passes with one among the calibration rows, and not --reference-map off"
        )
    escapes = residuals.escapes
    taken = "taken" if residuals.model is not None else "not taken, for this is not beyond chance"
    against = "templates" if residuals.reference_map == "template" else "the mean map of the passes"
    return (
        f"residuals against {against}, offered to the reject probability: {taken}; at {escapes.overkill_rate:.0%} "
        f"overkill {escapes.without:.2%} of {residuals.n_rejects} rejects escape without them, "
        f"{escapes.with_terms:.2%} with them: {100 * escapes.gain:.2f} points fewer "
        f"[{100 * escapes.low:.2f}, {100 * escapes.high:.2f}] over {residuals.n_parts} parts"
        + ("" if residuals.labels is None else f"; labels that follow them: {_rates(residuals.labels)}")
    )


def pairs_text(pairs: PairCalibration | None) -> str:
    """Return what pairs of vectors are verified with, and what was measured of it."""
    if pairs is None:
        return "pairs cannot be verified: a rebuild calibrates them, where there is more than one class"
    promised = [
        f"at most {one.max_false_accept_rate:.1%} promised (measured {one.false_accept_rate:.2%}, and "
        f"{one.false_reject_rate:.2%} false rejects)"
        for one in pairs.promised
    ]
    return (
        f"pairs are verified by {pairs.distance} distance, as measured on {pairs.n_genuine} pairs of one class and "
        f"{pairs.n_impostor} of two, {pairs.n_parts} parts; equal error rates: "
        + ", ".join(f"{name} {rate:.2%}" for name, rate in pairs.equal_error_rates.items())
        + "; false accepts: "
        + (", ".join(promised) or "too few parts to promise any rate")
    )


def _rates(measured: Measured) -> str:
    rates = f"accuracy {measured.accuracy:.4f}, balanced {measured.balanced_accuracy:.4f}"
    if measured.escape_rate is None:
        return rates
    overkill = "none to measure" if measured.overkill_rate is None else f"{measured.overkill_rate:.2%}"
    return f"{rates}, escapes {measured.escape_rate:.2%}, overkill {overkill}"


def description_lines(described: StationDescription) -> Iterator[str]:
    """Yield what a station is."""
    rows, columns = described.heat_map_shape
    low, high = described.value_range
    later = described.latest_revision - described.revision
    fate = "are searched beside it until the next rebuild" if described.follows else "are not searched with it"
    yield (
        f"{described.station}: {described.generation} of {len(described.generations)} stored, "
        f"{described.n_references} references at revision {described.revision}"
        + (f" ({later} later revisions {fate})" if later else "")
    )
    yield (
        f"embedder {described.embedder} ({described.preset}), heat maps {rows} x {columns} on {low:g} … {high:g}, "
        f"pass labels {list(described.pass_labels)}"
    )
    yield from calibration_lines(described.calibration)
    yield described.search.text()
    if described.recall is not None:
        yield recall_text(described.recall)
    if described.threshold_set is not None:
        yield from chosen_lines(described.threshold_set.request, described.threshold_set.chosen)
    for newcomer in described.newcomers:
        yield newcomer.text()
    yield _health_line(described.health, described.calibration.thresholds.health_at_most)


def _health_line(health: HealthDescription | None, at_most: float | None) -> str:
    if health is None:
        return "input health: the embedder has not learnt what is ordinary; one that is trained anew does"
    alarms = (
        "" if health.false_alarms is None else f"; {health.false_alarms:.2%} of the calibration rows are beyond one"
    )
    if at_most is None:
        bound = "switched off"
    else:
        bound = "no PASS beyond its limits" if at_most == 1 else f"no PASS beyond {at_most:g} times its limits"
    return f"input health: {bound}, learnt from {health.n_rows} rows of {health.n_parts} parts{alarms}"


def recall_text(recall: CandidateRecall) -> str:
    """Return what the candidates hold of the best matches."""
    return (
        f"the {recall.n_candidates} candidates hold {recall.share:.2%} of the {recall.n_neighbours} best matches among "
        f"all references ({recall.n_queries} queries, the worst of them {recall.worst_query:.0%})"
    )


def class_table(described: StationDescription) -> Table:
    """Return a row for each class."""
    table = Table("label", "", "failure modes", "references", "parts", "calibration parts")
    for one in described.classes:
        modes = ", ".join(f"{mode or '(none)'} {count}" for mode, count in one.failure_modes.items())
        table.add_row(
            str(one.label),
            "pass" if one.is_pass else "reject",
            modes,
            str(one.n_references),
            str(one.n_parts),
            "not kept" if one.n_calibration_parts is None else str(one.n_calibration_parts or "none: no promise"),
        )
    return table


def generation_table(listed: ListedStation) -> Table:
    """Return a row for each generation of a station."""
    fate = "" if listed.follows or not listed.generations else "; changes wait for the next rebuild"
    title = f"{listed.station}: {listed.n_references} references at revision {listed.revision}{fate}"
    table = Table(title=Text(f"{title}\n{listed.problem}".strip()), title_justify="left")
    for name in ("generation", "", "built (UTC)", "embedder"):
        table.add_column(name)
    for name in ("revision", "references", "MB"):
        table.add_column(name, justify="right")
    for one in listed.generations:
        table.add_row(
            one.generation,
            Text(one.problem or one.state),
            one.created_at.removesuffix("Z").replace("T", " "),
            one.embedder,
            str(one.revision),
            str(one.n_references),
            f"{one.size_bytes / 1e6:.1f}",
        )
    return table


def neighbour_table(batch: NeighbourBatch, row: int, title: str) -> Table:
    """Return the neighbours of one query."""
    table = Table(title=title)
    table.add_column("")
    for name in ("reference", "label", "failure mode"):
        table.add_column(name, overflow="fold")
    for name in ("distance", "beta", "eta", "gamma", "match"):
        table.add_column(name, justify="right", no_wrap=True)
    for rank in range(batch.labels.shape[1]):
        numbers = (
            batch.distances[row, rank],
            batch.beta[row, rank],
            batch.eta[row, rank],
            batch.gamma[row, rank],
            batch.match_distances[row, rank],
        )
        table.add_row(
            str(rank + 1),
            batch.ids[row][rank],
            str(batch.labels[row, rank]),
            batch.failure_modes[row][rank],
            *(f"{number:.4f}" for number in numbers),
        )
    return table


def neighbours_dict(batch: NeighbourBatch, row: int) -> dict[str, Any]:
    """Return the neighbours of one query as plain values, for JSON."""
    return {
        "neighbours": [
            {
                "id": batch.ids[row][rank],
                "label": int(batch.labels[row, rank]),
                "failure_mode": batch.failure_modes[row][rank],
                "distance": float(batch.distances[row, rank]),
                "beta": float(batch.beta[row, rank]),
                "eta": float(batch.eta[row, rank]),
                "gamma": float(batch.gamma[row, rank]),
                "match_distance": float(batch.match_distances[row, rank]),
            }
            for rank in range(batch.labels.shape[1])
        ]
    }
