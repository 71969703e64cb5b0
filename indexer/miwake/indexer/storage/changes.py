"""What changes references: add, relabel and remove, each one revision inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError, DataError, ReferenceConflictError, ReferenceNotFoundError
from miwake.indexer.records import has_template, vector_hash
from miwake.indexer.scale import template_refusals
from miwake.indexer.storage.reading import Revision, Version, VersionQuery, checked_version, read_revision
from miwake.indexer.storage.schema import checksum
from miwake.indexer.storage.templates import write_template

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.indexer.storage.schema import StationSchema

LABEL_BOUNDS = np.iinfo(np.int32)

_LIVE_QUERY = VersionQuery("""
    SELECT {columns}, v.vector_id
    FROM reference_versions AS v {joins}
    WHERE v.id = ? AND v.until_revision IS NULL
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a change did; without any effect the revision is the one that was there before."""

    revision: int
    n_added: int = 0
    n_relabelled: int = 0
    n_removed: int = 0
    n_unchanged: int = 0


def check_records(records: Records, schema: StationSchema) -> list[bytes]:
    """Return the vectors' hashes after checking that every record can be a reference of the station.

    Raises
    ------
    DataError
        Naming the first record that cannot.
    """
    if records.heat_map_shape != schema.heat_map_shape:
        message = f"{records.source}: heat maps of {records.heat_map_shape}, the station has {schema.heat_map_shape}"
        raise DataError(message)
    _check_ids(records)
    for column in ("failure_modes", "parts", "groups", "splits", "times"):
        check_texts(getattr(records, column), f"{records.source}: {column}")
    check_text(records.source, "the source")
    scale = schema.scale()
    codes = scale.refusals(records.vectors)
    if codes.any():
        row = int(np.flatnonzero(codes)[0])
        message = (
            f"{records.source}: row {row} (id {records.ids[row]!r}): {scale.explain(codes[row], records.vectors[row])}"
        )
        raise DataError(message)
    return [vector_hash(vector) for vector in records.vectors]


def check_templates(records: Records, schema: StationSchema) -> list[bytes | None]:
    """Return the templates' hashes, None where a record brings none, after checking that they are on the scale.

    Raises
    ------
    DataError
        Naming the first record whose template cannot be used.
    """
    templates = records.templates
    if templates is None:
        return [None] * len(records)
    scale = schema.scale()
    codes = template_refusals(templates, scale)
    if codes.any():
        row = int(np.flatnonzero(codes)[0])
        why = scale.explain(codes[row], templates[row])
        message = f"{records.source}: row {row} (id {records.ids[row]!r}): its template: {why}"
        raise DataError(message)
    is_there = has_template(templates).tolist()
    return [vector_hash(one) if there else None for one, there in zip(templates, is_there, strict=True)]


def _check_ids(records: Records) -> None:
    check_texts(records.ids, f"{records.source}: ids")
    rows: dict[str, int] = {}
    for row, reference_id in enumerate(records.ids):
        if not reference_id:
            message = f"{records.source}: row {row} has no id"
            raise DataError(message)
        first = rows.setdefault(reference_id, row)
        if first != row:
            message = f"{records.source}: rows {first} and {row} have the same id {reference_id!r}"
            raise DataError(message)


def check_texts(column: Sequence[str], name: str) -> None:
    """Check a column of texts as ``check_text`` does each; quick where all are fine."""
    if not _is_storable("".join(column)):
        row = next(row for row, text in enumerate(column) if not _is_storable(text))
        check_text(column[row], f"{name}, row {row}")


def _is_storable(text: str) -> bool:
    return "\0" not in text and text.encode(errors="replace").decode() == text


def check_text(text: str, name: str) -> None:
    """Check that a text is the same after it was stored: neither U+0000 nor half a surrogate pair is in it.

    Raises
    ------
    DataError
        Naming ``name``.
    """
    if not _is_storable(text):
        message = f"{name}: {text!r} holds characters that cannot be stored"
        raise DataError(message)


def check_label(label: int, failure_mode: str) -> None:
    """Check a new label and failure mode.

    Raises
    ------
    DataError
        If the label is no 32-bit integer, or the text cannot be stored.
    """
    if not LABEL_BOUNDS.min <= label <= LABEL_BOUNDS.max:
        message = f"label {label}: expected {LABEL_BOUNDS.min} … {LABEL_BOUNDS.max}"
        raise DataError(message)
    check_text(failure_mode, "the failure mode")


class Writer:
    """Changes inside one transaction, which the caller begins and ends; each call makes one revision at most."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, actor: str, at: str) -> None:
        self._connection = connection
        self._path = path
        self._actor = actor
        self._at = at
        self._next_vector: int | None = None

    def add(self, records: Records, contents: Sequence[bytes], templates: Sequence[bytes | None]) -> Change:
        """Add what is new among records that passed the checks, which gave ``contents`` and ``templates``."""
        new = [row for row in range(len(records)) if self._is_new(records, contents, templates, row)]
        if not new:
            return Change(revision=self._latest.revision, n_unchanged=len(records))
        revision = self._begin("add", n_changed=len(new), n_more=len(new))
        for sequence, row in enumerate(new, start=self._next("sequence", "reference_versions")):
            vector_id = self._keep_vector(contents[row], records.vectors[row])
            version = _new_version(records, row, sequence=sequence, revision=revision, sha256=contents[row])
            template = templates[row]
            if template is not None and records.templates is not None:
                self._keep_template(sequence, template, records.templates[row])
            self._insert_version(version._replace(template=template), vector_id)
        return Change(revision=revision, n_added=len(new), n_unchanged=len(records) - len(new))

    def relabel(self, ids: Iterable[str], label: int, failure_mode: str) -> Change:
        """End the live version of each id and begin one with the new label and failure mode."""
        live = [self._require(reference_id) for reference_id in dict.fromkeys(ids)]
        changing = [one for one in live if (one[0].label, one[0].failure_mode) != (label, failure_mode)]
        if not changing:
            return Change(revision=self._latest.revision, n_unchanged=len(live))
        revision = self._begin("relabel", n_changed=len(changing), n_more=0)
        for version, vector_id in changing:
            self._end_version(version, revision)
            relabelled = version._replace(since_revision=revision, label=label, failure_mode=failure_mode)
            self._insert_version(relabelled, vector_id)
        return Change(revision=revision, n_relabelled=len(changing), n_unchanged=len(live) - len(changing))

    def remove(self, ids: Iterable[str]) -> Change:
        """End the live version of each id."""
        live = [self._require(reference_id) for reference_id in dict.fromkeys(ids)]
        if not live:
            return Change(revision=self._latest.revision)
        revision = self._begin("remove", n_changed=len(live), n_more=-len(live))
        for version, _ in live:
            self._end_version(version, revision)
        return Change(revision=revision, n_removed=len(live))

    @property
    def _latest(self) -> Revision:
        return read_revision(self._connection, self._path)

    def _find(self, reference_id: str) -> tuple[Version, int] | None:
        row = self._connection.execute(_LIVE_QUERY.on(self._connection), (reference_id,)).fetchone()
        return None if row is None else (checked_version(row[:-1], self._path), row[-1])

    def _require(self, reference_id: str) -> tuple[Version, int]:
        found = self._find(reference_id)
        if found is None:
            raise ReferenceNotFoundError(reference_id, station=self._path.parent.name)
        return found

    def _is_new(self, records: Records, contents: Sequence[bytes], templates: Sequence[bytes | None], row: int) -> bool:
        what = (contents[row], int(records.labels[row]), records.failure_modes[row], templates[row])
        return self._is_absent(records.ids[row], *what, where=f"{records.source}: row {row}")

    def _is_absent(
        self, reference_id: str, sha256: bytes, label: int, failure_mode: str, template: bytes | None, *, where: str
    ) -> bool:
        found = self._find(reference_id)
        if found is None:
            return True
        stored, _ = found
        if stored.sha256 != sha256:
            there, here = f"vector {stored.sha256.hex()[:12]}", f"vector {sha256.hex()[:12]}"
        elif (stored.label, stored.failure_mode) != (label, failure_mode):
            there = f"label {stored.label} ({stored.failure_mode!r})"
            here = f"label {label} ({failure_mode!r})"
        elif template is not None and stored.template != template:
            there = "no template" if stored.template is None else f"template {stored.template.hex()[:12]}"
            here = f"template {template.hex()[:12]}"
        else:
            return False
        message = (
            f"{where}: id {stored.id!r} has {here}, the reference of that id from "
            f"{stored.source} has {there}: relabel it, remove it first, or give the new one another id"
        )
        raise ReferenceConflictError(message)

    def _begin(self, verb: str, *, n_changed: int, n_more: int) -> int:
        latest = self._latest
        row = Revision(
            revision=latest.revision + 1,
            at=self._at,
            actor=self._actor,
            verb=verb,
            n_changed=n_changed,
            n_references=latest.n_references + n_more,
        )
        self._insert_revision(row)
        return row.revision

    def _insert_revision(self, row: Revision) -> None:
        self._connection.execute("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, checksum(*row)))

    def _next(self, column: str, table: str) -> int:
        (last,) = self._connection.execute(f"SELECT max({column}) FROM {table}").fetchone()  # noqa: S608 - constants
        return 1 if last is None else int(last) + 1

    def _keep_vector(self, sha256: bytes, vector: NDArray[np.float32]) -> int:
        """Return the id of a vector, which is written where it is not there yet."""
        found = self._connection.execute("SELECT vector_id FROM vectors WHERE sha256 = ?", (sha256,)).fetchone()
        if found is not None:
            return int(found[0])
        if self._next_vector is None:
            self._next_vector = self._next("vector_id", "vectors")
        vector_id, self._next_vector = self._next_vector, self._next_vector + 1
        self._insert_vector(vector_id, sha256, vector)
        return vector_id

    def _keep_template(self, sequence: int, sha256: bytes, template: NDArray[np.float32]) -> None:
        vector_id = self._keep_vector(sha256, template)
        write_template(self._connection, sequence, vector_id)

    def _insert_vector(self, vector_id: int, sha256: bytes, vector: NDArray[np.float32]) -> None:
        content = np.ascontiguousarray(vector, dtype="<f4").data
        self._connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (vector_id, sha256, content))

    def _insert_version(self, version: Version, vector_id: int) -> None:
        values = (*version[:4], vector_id, *version[5:-1], version.checksum())
        self._connection.execute(
            "INSERT INTO reference_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )

    def _end_version(self, version: Version, revision: int) -> None:
        ended = version._replace(until_revision=revision)
        cursor = self._connection.execute(
            "UPDATE reference_versions SET until_revision = ?, checksum = ? WHERE sequence = ? AND since_revision = ?",
            (revision, ended.checksum(), version.sequence, version.since_revision),
        )
        if cursor.rowcount != 1:
            message = f"{self._path}: reference {version.id!r} is damaged"
            raise ArtifactCorruptError(message)


def _new_version(records: Records, row: int, *, sequence: int, revision: int, sha256: bytes) -> Version:
    return Version(
        sequence=sequence,
        since_revision=revision,
        until_revision=None,
        id=records.ids[row],
        sha256=sha256,
        label=int(records.labels[row]),
        failure_mode=records.failure_modes[row],
        part=records.parts[row],
        group=records.groups[row],
        split=records.splits[row],
        source=records.source,
        inspected_at=records.times[row],
    )
