"""The figures of a demonstration: as ``summary.json``, and as a table for the terminal."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from demonstration.streaming import LATENCY_METHOD
from miwake.indexer.evaluation import escape_rate, evaluate, overkill_rate
from miwake.indexer.records import is_pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demonstration.cases import Answered
    from demonstration.streaming import Streamed
    from miwake.indexer.evaluation import Rate
    from miwake.indexer.records import Records

DECISIONS = ("PASS", "REJECT", "REVIEW", "UNKNOWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a demonstration was run with: the data as they were named, whether they are synthetic, and the preset."""

    data: str
    is_synthetic: bool
    preset: str


def summarise(
    setting: Setting, held_out: Records, streamed: Streamed, answered: Answered, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return everything that ``summary.json`` holds."""
    provenance = streamed.answers[0].provenance
    return {
        "data": setting.data,
        "source": held_out.source,
        "is_synthetic": setting.is_synthetic,
        "preset": setting.preset,
        "held_out": len(held_out),
        "answered": len(streamed.answers),
        "errors": len(streamed.errors()),
        **_quality(answered, [held_out.parts[row] for row in answered.rows.tolist()]),
        "decisions": _count(answered.decisions),
        "vectors_per_second": round(len(streamed.answers) / streamed.stream_s, 1),
        "latency_ms": {
            "p50": round(float(np.percentile(streamed.latencies_ms, 50)), 3),
            "p99": round(float(np.percentile(streamed.latencies_ms, 99)), 3),
            "method": LATENCY_METHOD,
        },
        "embedder": provenance.embedder,
        "generation": provenance.generation,
        "revision": provenance.revision,
        "threshold_set": provenance.threshold_set,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def write(path: Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def table(summary: Mapping[str, Any]) -> Table:
    """Return the summary as a table of two columns."""
    title = Text(f"held-out parts of {summary['source']}")
    drawn = Table(title=title, show_header=False, title_justify="left")
    if summary["is_synthetic"]:
        drawn.caption = "SYNTHETIC data: the figures say nothing about a real line, only that the parts work together."
        drawn.caption_justify = "left"
    intervals = summary["intervals_95"]
    unknown, latency, seconds = summary["unknown_kinds"], summary["latency_ms"], summary["seconds"]
    rows = {
        "answered": f"{summary['answered']:,} of {summary['held_out']:,}, {summary['errors']} of them with an error",
        "accuracy": _share(summary["accuracy"], intervals["accuracy"], f"{summary['n']['known']:,} of known labels"),
        "balanced accuracy": _share(summary["balanced_accuracy"]),
        "escape rate": _share(summary["escape_rate"], intervals["escape_rate"], f"{summary['n']['rejects']:,} rejects"),
        "overkill rate": _share(
            summary["overkill_rate"], intervals["overkill_rate"], f"{summary['n']['passes']:,} passes"
        ),
        "decisions": _listed(summary["decisions"]),
        "escapes by decision": _listed(summary["escapes_by_decision"]),
        "unknown kinds": f"{unknown['n']}: {unknown['answered_unknown']} UNKNOWN, {unknown['escaped']} escaped",
        "throughput": f"{summary['vectors_per_second']:,.0f} vectors/s in one stream",
        "latency": f"{latency['p50']:.2f} ms median, {latency['p99']:.2f} ms 99th percentile, single vectors",
        "embedder": f"{summary['embedder']} (preset {summary['preset']})",
        "generation": f"{summary['generation']}, revision {summary['revision']}",
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()),
    }
    for name, value in rows.items():
        drawn.add_row(name, Text(value))
    return drawn


def _quality(answered: Answered, parts: list[str]) -> dict[str, Any]:
    """Accuracy over the known labels; escapes and overkills over everything, for an unknown kind is a reject too."""
    truth, found, passes = answered.true_labels, answered.labels, answered.pass_labels
    known = answered.is_known()
    of_known = None
    if known.any():
        own_parts = [part for part, is_known in zip(parts, known.tolist(), strict=True) if is_known]
        probabilities = answered.probabilities[known]
        of_known = evaluate(truth[known], found[known], probabilities=probabilities, parts=own_parts)
    escape = escape_rate(truth, found, passes, parts=parts)
    overkill = overkill_rate(truth, found, passes, parts=parts)
    escaped = is_pass(found, passes) & ~is_pass(truth, passes)
    accuracy = None if of_known is None else of_known.accuracy
    return {
        "accuracy": _value(accuracy),
        "balanced_accuracy": None if of_known is None else round(of_known.balanced_accuracy, 5),
        "calibration_error": _rounded(None if of_known is None else of_known.calibration_error),
        "escape_rate": _value(escape),
        "overkill_rate": _value(overkill),
        "intervals_95": {
            "accuracy": _interval(accuracy),
            "escape_rate": _interval(escape),
            "overkill_rate": _interval(overkill),
        },
        "n": {
            "known": int(known.sum()),
            "rejects": 0 if escape is None else escape.n_rows,
            "passes": 0 if overkill is None else overkill.n_rows,
        },
        "escapes_by_decision": _count(
            tuple(name for name, is_escape in zip(answered.decisions, escaped.tolist(), strict=True) if is_escape)
        ),
        "unknown_kinds": {
            "n": int((~known).sum()),
            "answered_unknown": int((~known & (np.array(answered.decisions) == "UNKNOWN")).sum()),
            "escaped": int((~known & escaped).sum()),
        },
    }


def _count(decisions: tuple[str, ...]) -> dict[str, int]:
    counted = Counter(decisions)
    return {name: counted[name] for name in DECISIONS}


def _value(rate: Rate | None) -> float | None:
    return _rounded(None if rate is None else rate.value)


def _interval(rate: Rate | None) -> list[float] | None:
    return None if rate is None else [round(rate.low, 5), round(rate.high, 5)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _share(value: float | None, interval: list[float] | None = None, of: str = "") -> str:
    if value is None:
        return "– (no pass labels, or none of that side)"
    between = "" if interval is None else f", 95 % interval {interval[0]:.2%} … {interval[1]:.2%}"
    return f"{value:.2%}{f' of {of}' if of else ''}{between}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
