"""Edits: changes of references that have been checked and wait to be applied, alone or several in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.storage.changes import (
    Change,
    Writer,
    check_label,
    check_records,
    check_templates,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.indexer.records import Records
    from miwake.indexer.storage.schema import StationSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One caller's change: one revision at most.

    Attributes
    ----------
    actor : text
        Who asked for it, for the history.
    n_rows : int
        How many references it names.
    apply : callable
        Makes the change through a writer, and says what it did.
    """

    actor: str
    n_rows: int
    apply: Callable[[Writer], Change]


def addition(records: Records, schema: StationSchema, *, actor: str) -> Edit:
    """Return the edit that adds all records, or none of them.

    Raises
    ------
    DataError
        If a record cannot be a reference: wrong shape or scale, no id, an id that occurs twice.
    """
    check_text(actor, "the actor")
    contents, templates = check_records(records, schema), check_templates(records, schema)
    return Edit(actor=actor, n_rows=len(records), apply=lambda writer: writer.add(records, contents, templates))


def relabelling(ids: Sequence[str], label: int, failure_mode: str, *, actor: str) -> Edit:
    """Return the edit that gives references another label and failure mode.

    Raises
    ------
    DataError
        If the label is no 32-bit integer, or a text cannot be stored.
    """
    check_text(actor, "the actor")
    check_label(label, failure_mode)
    return Edit(actor=actor, n_rows=len(ids), apply=lambda writer: writer.relabel(ids, label, failure_mode))


def removal(ids: Sequence[str], *, actor: str) -> Edit:
    """Return the edit that removes references.

    Raises
    ------
    DataError
        If the actor cannot be stored.
    """
    check_text(actor, "the actor")
    return Edit(actor=actor, n_rows=len(ids), apply=lambda writer: writer.remove(ids))
