"""Tables of presets and of evaluations, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from miwake.indexer.evaluation import Evaluation, Rate
    from miwake.training.evaluate import EmbedderEvaluation
    from miwake.training.presets import Preset


def preset_table(presets: Iterable[Preset], default: str) -> Table:
    """Return what each preset is and where it comes from."""
    table = Table("preset", "what it is", "where it comes from", show_lines=True)
    for preset in presets:
        name = f"{preset.name} (default)" if preset.name == default else preset.name
        table.add_row(name, preset.summary, preset.origin)
    return table


def evaluation_table(evaluation: EmbedderEvaluation) -> Table:
    """Return the two ways to a label side by side."""
    title = (
        f"{evaluation.source}: {evaluation.n_queries:,} queries of {evaluation.n_query_parts:,} parts against "
        f"{evaluation.n_references:,} references"
    )
    ways = (evaluation.nearest_anchor, evaluation.nearest_references)
    table = Table("", "nearest anchor", "15 nearest references", title=title)
    table.add_row("accuracy", *(_rate(way.accuracy) for way in ways))
    table.add_row("balanced accuracy", *(f"{way.balanced_accuracy:.4f}" for way in ways))
    table.add_row("macro F1", *(f"{way.macro_f1:.4f}" for way in ways))
    table.add_row("escapes", *(_rate(way.escape) for way in ways))
    table.add_row("overkills", *(_rate(way.overkill) for way in ways))
    table.add_row("calibration error", *(_error(way) for way in ways))
    return table


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "–"
    return f"{rate.value:.4f} [{rate.low:.4f}, {rate.high:.4f}]  {rate.n_counted:,} of {rate.n_rows:,}"


def _error(evaluation: Evaluation) -> str:
    return "–" if evaluation.calibration_error is None else f"{evaluation.calibration_error:.4f}"
