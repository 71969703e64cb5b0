"""An audit on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from miwake.training.audit.suspects import MEANINGS, Kind
from miwake.training.audit.writing import accuracy_rows, ceiling_line

if TYPE_CHECKING:
    from miwake.training.audit.auditing import Audit


def audit_table(audit: Audit) -> Table:
    """Return how many suspects of each kind there are."""
    table = Table("", "records", "meaning", title=f"{audit.source}: {audit.n_rows:,} rows, {audit.n_parts:,} parts")
    for name, count in audit.counts.items():
        table.add_row(name, f"{count:,}", MEANINGS[Kind(name)])
    return table


def audit_lines(audit: Audit) -> list[str]:
    """Return what figures on these labels are worth, line by line."""
    figures = [f"{name}: {given} as given, {without} without suspects" for name, given, without in accuracy_rows(audit)]
    return [*figures, ceiling_line(audit), *audit.notes]
