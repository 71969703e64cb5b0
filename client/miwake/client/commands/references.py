"""Looking after references: ``add``, ``relabel``, ``remove`` and ``references``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from miwake.client.channel import DEFAULT_TIMEOUT_S
from miwake.client.commands.connecting import (
    DEFAULT_TARGET,
    Station,
    Target,
    Timeout,
    TlsCa,
    TokenFile,
    connect,
)
from miwake.client.commands.options import File, Json, Split
from miwake.client.commands.working import clean_exit, wants_json
from miwake.client.errors import DataFileError
from miwake.client.files import read_samples
from miwake.client.references import NewReference
from miwake.client.report import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.client.files import Samples
    from miwake.client.references import ReferenceChange

MOST_IN_A_CALL = 256
"""References added by one call: 1.4 MB of vectors of 1,404 values, and as much of templates."""

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of references.")]
Actor = Annotated[str | None, typer.Option(help="Who makes the change, for the history; by default the user.")]
Label = Annotated[int, typer.Option(min=-(2**31), max=2**31 - 1, help="The new class code.")]


def add(
    file: File,
    *,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    split: Split = None,
    label: Annotated[
        int | None, typer.Option(min=-(2**31), max=2**31 - 1, help="For all rows, instead of what FILE says.")
    ] = None,
    failure_mode: Annotated[str | None, typer.Option(help="For all rows, instead of what FILE says.")] = None,
    actor: Actor = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Add the rows of FILE as references, up to 256 in a revision. They are searched from then on."""
    with clean_exit():
        new = list(_new_references(read_samples(file, split=split), label, failure_mode))
        with connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client:
            for start in range(0, len(new), MOST_IN_A_CALL):
                change = client.references.add(new[start : start + MOST_IN_A_CALL], source=file.name, actor=actor)
                _show(change, as_json=wants_json(json))


def relabel(
    ids: Ids,
    *,
    label: Label,
    failure_mode: Annotated[str, typer.Option(help="The new failure mode.")],
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    actor: Actor = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Give references another label; what they were stays in their history."""
    with (
        clean_exit(),
        connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client,
    ):
        _show(client.references.relabel(ids, label, failure_mode, actor=actor), as_json=wants_json(json))


def remove(
    ids: Ids,
    *,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    actor: Actor = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Remove references; they stay readable at earlier revisions."""
    with (
        clean_exit(),
        connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client,
    ):
        _show(client.references.remove(ids, actor=actor), as_json=wants_json(json))


def references(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="By default all references.")] = None,
    *,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Show references: all of them in a line each, or those of the given ids with their history."""
    with (
        clean_exit(),
        connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client,
    ):
        if not ids:
            for one in client.references.list():
                line = f"{one.id}  {one.label}  {one.failure_mode}  {one.part}"
                print(to_json(_plain(asdict(one))) if wants_json(json) else line)
            return
        for reference_id in ids:
            stored = client.references.get(reference_id)
            events = [asdict(event) for event in stored.history]
            if wants_json(json):
                print(to_json(_plain({**asdict(stored.reference), "history": [_plain(one) for one in events]})))
                continue
            print(f"{stored.reference.id}  {stored.reference.label}  {stored.reference.failure_mode}")
            for event in stored.history:
                became = "gone" if event.to_label is None else f"{event.to_label} ({event.to_failure_mode})"
                print(f"  {event.at:%Y-%m-%d %H:%M:%S}Z  {event.actor}  {event.verb}  {became}")


def _new_references(samples: Samples, label: int | None, failure_mode: str | None) -> Iterator[NewReference]:
    for row, inspection in enumerate(samples.inspections()):
        own_label = samples.labels[row] if label is None else label
        own_mode = samples.failure_modes[row] if failure_mode is None else failure_mode
        if own_label is None:
            message = f"{samples.ids[row]}: no label in the file; give --label"
            raise DataFileError(message)
        yield NewReference(
            id=samples.ids[row],
            vector=inspection,
            label=own_label,
            failure_mode=own_mode,
            group=samples.groups[row],
        )


def _show(change: ReferenceChange, *, as_json: bool) -> None:
    if as_json:
        print(to_json(asdict(change)))
        return
    counts = (
        (change.n_added, "added"),
        (change.n_relabelled, "relabelled"),
        (change.n_removed, "removed"),
        (change.n_unchanged, "unchanged"),
    )
    print(f"revision {change.revision}: {', '.join(f'{count} {what}' for count, what in counts if count) or 'nothing'}")
    if not change.is_searched:
        print("stored, and not searched before the next rebuild: the station has been rolled back", file=sys.stderr)


def _plain(values: dict[str, object]) -> dict[str, object]:
    """Return the values with times as text."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}
