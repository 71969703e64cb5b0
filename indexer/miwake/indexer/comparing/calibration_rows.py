"""Rows of the store that a comparison can ask about where no held-out data are replayed."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.records import Records
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from miwake.indexer.comparing.sides import Side
    from miwake.indexer.storage.reading import Snapshot

MOST_ROWS = 2_000
"""Each of their parts is asked about on its own, in some 10 ms: half a minute for all."""


def unfitted_rows(station_folder: Path, sides: Sequence[Side], *, most: int = MOST_ROWS) -> Records:
    """Return references of the latest revision whose parts no side's embedder was fitted on, ``most`` of them at most.

    Where there are more, whole parts are drawn, always the same ones. References that name no part are left out: they
    could not be kept from answering for themselves.

    Raises
    ------
    DataError
        If there is none.
    """
    fitted = {one for side in sides for one in side.index.contents.embedder.card.fit_row_hashes}
    fitted_parts = frozenset[str]().union(*(side.fitted_parts() for side in sides))
    kept: list[Records] = []
    bound = 1 << 32
    with ReferenceStore.open(station_folder) as store:
        revision = store.revision
        for batch in store.batches(revision):
            told = zip(batch.parts, batch.row_hashes, strict=True)
            is_free = [part and part not in fitted_parts and one not in fitted for part, one in told]
            if any(is_free):
                rows = _records(batch, store.schema.heat_map_shape, store.schema.pass_labels, station_folder.name)
                kept.append(_drawn(rows.take(np.array(is_free, dtype=np.bool_)), bound))
            while sum(map(len, kept)) > most and bound > 1:
                bound //= 2
                kept = [_drawn(one, bound) for one in kept]
        if not sum(map(len, kept)):
            message = (
                f"{station_folder.name}: every part of the references at revision {revision} is one that an embedder "
                "was fitted on, or has no name: nothing can be asked about honestly; --replay takes held-out parts"
            )
            raise DataError(message)
        rows = _joined(kept)
        return replace(rows, templates=store.templates(rows.ids, revision))


def _drawn(records: Records, bound: int) -> Records:
    return records.take(np.array([zlib.crc32(part.encode()) < bound for part in records.parts], dtype=np.bool_))


def _records(batch: Snapshot, shape: tuple[int, int], pass_labels: tuple[int, ...], station: str) -> Records:
    return Records(
        vectors=batch.vectors,
        labels=batch.labels,
        failure_modes=batch.failure_modes,
        ids=batch.ids,
        parts=batch.parts,
        groups=batch.groups,
        splits=batch.splits,
        times=batch.times,
        source=f"those references of {station} at revision {batch.revision} that no embedder was fitted on "
        "(builds were calibrated on them: held-out parts tell more)",
        heat_map_shape=shape,
        pass_labels=pass_labels,
    )


def _joined(pieces: Sequence[Records]) -> Records:
    def join(column: str) -> tuple[str, ...]:
        return tuple(text for piece in pieces for text in getattr(piece, column))

    first = pieces[0]
    return Records(
        vectors=np.concatenate([piece.vectors for piece in pieces]),
        labels=np.concatenate([piece.labels for piece in pieces]),
        failure_modes=join("failure_modes"),
        ids=join("ids"),
        parts=join("parts"),
        groups=join("groups"),
        splits=join("splits"),
        times=join("times"),
        source=first.source,
        heat_map_shape=first.heat_map_shape,
        pass_labels=first.pass_labels,
    )
