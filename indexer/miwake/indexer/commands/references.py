"""Changing the references, and what became of one: ``add``, ``relabel``, ``remove`` and ``history``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from miwake.indexer.commands.options import Actor, AddedRows, AsJson, Data, Ids, Rows, Station, Store
from miwake.indexer.commands.working import actor, print_json, read, report, station_path, training_rows, working
from miwake.indexer.sources.options import with_read_options
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.storage.changes import Change
    from miwake.indexer.storage.reading import HistoryEntry
    from miwake.indexer.telling.newcomers import Newcomer


@with_read_options
def add(
    *,
    data: Data,
    store: Store,
    station: Station = "",
    label: Annotated[
        int | None, typer.Option(min=-(2**31), max=2**31 - 1, help="For all records, instead of what DATA says.")
    ] = None,
    failure_mode: Annotated[str | None, typer.Option(help="For all records, instead of what DATA says.")] = None,
    rows: AddedRows = Rows.TRAINING,
    by: Actor = None,
    as_json: AsJson = False,
    reading: ReadSettings,
) -> None:
    """Add the records of DATA as references; a running server searches them within a second."""
    with working():
        from miwake.indexer.storage.store import ReferenceStore  # noqa: PLC0415

        records = training_rows(read(data, reading), rows, as_training_does=False)
        folder = station_path(store, station)
        records = records.named(label, failure_mode)
        with ReferenceStore.open(folder) as references:
            change = references.add(records, actor=actor(by))
        _show_added(change, _new_among(folder, set(records.labels.tolist())), as_json=as_json)


def _new_among(folder: Path, labels: set[int]) -> list[Newcomer]:
    """Return those of the labels that calibration has not seen; what was added stands, whatever cannot be told."""
    from miwake.indexer.errors import IndexerError  # noqa: PLC0415
    from miwake.indexer.telling.newcomers import newcomers  # noqa: PLC0415

    try:
        return [one for one in newcomers(folder) if one.label in labels]
    except IndexerError as error:
        report(f"warning: what calibration knows cannot be told: {error}")
        return []


def _show_added(change: Change, new: list[Newcomer], *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(change), "not_calibrated": [asdict(one) for one in new]})
        return
    _show_change(change, as_json=False)
    for one in new:
        print(one.text())


def relabel(
    *,
    ids: Ids,
    store: Store,
    station: Station = "",
    label: Annotated[int, typer.Option(help="The new class code.")],
    failure_mode: Annotated[str, typer.Option(help="The new failure mode.")],
    by: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Give references another label; what they were stays in their history."""
    with working():
        from miwake.indexer.storage.store import ReferenceStore  # noqa: PLC0415

        with ReferenceStore.open(station_path(store, station)) as references:
            _show_change(references.relabel(ids, label, failure_mode, actor=actor(by)), as_json=as_json)


def remove(*, ids: Ids, store: Store, station: Station = "", by: Actor = None, as_json: AsJson = False) -> None:
    """Remove references; they stay readable at earlier revisions."""
    with working():
        from miwake.indexer.storage.store import ReferenceStore  # noqa: PLC0415

        with ReferenceStore.open(station_path(store, station)) as references:
            _show_change(references.remove(ids, actor=actor(by)), as_json=as_json)


def history(
    *,
    reference_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a reference, there now or once.")],
    store: Store,
    station: Station = "",
    as_json: AsJson = False,
) -> None:
    """Show what happened to a reference: when, who, and from which label to which."""
    with working():
        from miwake.indexer.errors import StoreError  # noqa: PLC0415
        from miwake.indexer.storage.store import ReferenceStore  # noqa: PLC0415

        folder = station_path(store, station)
        with ReferenceStore.open(folder) as references:
            entries = references.history(reference_id)
        if not entries:
            message = f"{folder}: there never was a reference {reference_id!r}"
            raise StoreError(message)
        if as_json:
            print_json({"id": reference_id, "history": [asdict(one) for one in entries]})
            return
        for one in entries:
            print(f"revision {one.revision}  {one.at}  {one.actor}  {one.verb}  {_from_to(one)}")


def _from_to(entry: HistoryEntry) -> str:
    states = (entry.from_label, entry.from_failure_mode), (entry.to_label, entry.to_failure_mode)
    return " → ".join("not there" if label is None else f"{label} ({mode})" for label, mode in states)


def _show_change(change: Change, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(change))
        return
    counts = (
        (change.n_added, "added"),
        (change.n_relabelled, "relabelled"),
        (change.n_removed, "removed"),
        (change.n_unchanged, "unchanged"),
    )
    print(f"revision {change.revision}: {', '.join(f'{count} {what}' for count, what in counts if count) or 'nothing'}")
