"""Vectors from a file, for the command line.

Nothing is checked here that the server checks: a vector with a NaN or of another length is sent, and answered as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from miwake.client.errors import DataFileError
from miwake.client.file_readers import READERS
from miwake.client.inspections import Inspection, InspectionContext
from miwake.client.packed_vectors import is_all_nan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from miwake.client.file_readers import RawFile
    from miwake.client.inspections import Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """N vectors from a file, with what the file says about them.

    Attributes
    ----------
    vectors : list of N arrays, (V,) each
        float16 or uint8 where the file has them, else float32.
    ids : tuple of N texts
        From the file, else ``stem:row`` with the row counted from 0, as the indexer names rows.
    parts, groups, failure_modes : tuples of N texts
        Empty where not known.
    labels : tuple of N integers or None
        The true class codes, None where not known.
    templates : list of N arrays or None
        The golden map of each vector's place, None where the file has none for it.
    """

    vectors: list[Vector]
    ids: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    failure_modes: tuple[str, ...]
    labels: tuple[int | None, ...]
    templates: list[Vector | None]

    def __len__(self) -> int:
        return len(self.vectors)

    def inspections(self) -> Iterator[Inspection]:
        """Yield the vectors with their ids, parts and templates, marked as simulated: a replay is no production."""
        for vector, id_, part, template in zip(self.vectors, self.ids, self.parts, self.templates, strict=True):
            context = InspectionContext(part_id=part, is_simulated=True)
            yield Inspection(vector=vector, id=id_, context=context, template=template)

    def only(self, row: int) -> Samples:
        """Return one row.

        Raises
        ------
        DataFileError
            If there are not so many.
        """
        if row >= len(self):
            message = f"row {row}, expected one of the {len(self)} rows chosen, counted from 0"
            raise DataFileError(message)
        return Samples(
            vectors=[self.vectors[row]],
            ids=(self.ids[row],),
            parts=(self.parts[row],),
            groups=(self.groups[row],),
            failure_modes=(self.failure_modes[row],),
            labels=(self.labels[row],),
            templates=[self.templates[row]],
        )


def read_samples(path: Path, *, split: str | None = None, limit: int | None = None) -> Samples:
    """Return the vectors of a file.

    Parameters
    ----------
    path : Path
        ``.parquet`` or ``.csv`` with columns data0, data1 … or, in Parquet, one column ``vector``; and where there are,
        ``id``, ``part``, ``group``, ``split``, ``label`` and ``failure_mode`` (or ``fmode``), and template0,
        template1 … or, in Parquet, one column ``template``. ``.npz`` with an array ``vectors`` and those beside it.
        ``.npy``.
    split : text or None
        Keep the rows of this split.
    limit : int or None
        Keep the first so many.

    Raises
    ------
    DataFileError
        If the file cannot be read, or has no vectors, or none of the split.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        message = f"{path}: expected a file that ends in {', '.join(READERS)}"
        raise DataFileError(message)
    try:
        raw = reader(path)
    except OSError as error:
        message = f"{path}: {error.strerror or ' '.join(str(error).split())}"
        raise DataFileError(message) from error
    columns = dict(raw.columns)
    if raw.templates is not None:
        columns["templates"] = raw.templates
    for name, column in columns.items():
        if len(column) != len(raw.vectors):
            message = f"{path}: {len(column)} values in {name}, expected {len(raw.vectors)}: one for each vector"
            raise DataFileError(message)
    return _take(path, raw, _rows(path, raw, split)[:limit])


def _rows(path: Path, raw: RawFile, split: str | None) -> Sequence[int]:
    rows: Sequence[int] = range(len(raw.vectors))
    if split is not None:
        if "split" not in raw.columns:
            message = f"{path}: no column split, so no rows of split {split!r}"
            raise DataFileError(message)
        rows = [row for row in rows if _text(raw.columns["split"][row]) == split]
    if not rows:
        message = f"{path}: no rows" if split is None else f"{path}: no rows of split {split!r}"
        raise DataFileError(message)
    return rows


def _take(path: Path, raw: RawFile, rows: Sequence[int]) -> Samples:
    nothing: Sequence[Any] = [None] * len(raw.vectors)
    ids, parts, groups, labels = (raw.columns.get(name, nothing) for name in ("id", "part", "group", "label"))
    failure_modes = raw.columns.get("failure_mode", raw.columns.get("fmode", nothing))
    return Samples(
        vectors=[raw.vectors[row] for row in rows],
        ids=tuple(_text(ids[row]) or f"{path.stem}:{row}" for row in rows),
        parts=tuple(_text(parts[row]) for row in rows),
        groups=tuple(_text(groups[row]) for row in rows),
        failure_modes=tuple(_text(failure_modes[row]) for row in rows),
        labels=tuple(_label(path, row, labels[row]) for row in rows),
        templates=[_template(raw.templates[row]) if raw.templates is not None else None for row in rows],
    )


def _template(values: Vector | None) -> Vector | None:
    return None if values is None or is_all_nan(values) else values


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _label(path: Path, row: int, value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        label = int(value)
        is_whole = float(value) == label
    except (TypeError, ValueError, OverflowError):
        is_whole = False
    if not is_whole:
        message = f"{path}: row {row}, column label: {value!r}, expected an integer"
        raise DataFileError(message)
    return label
