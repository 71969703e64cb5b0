"""The references of a generation as files that open at once, whatever their number: memory-mapped, never copied.

``references.arrow`` holds everything but the vectors; ``vectors.npy`` the inspection vectors in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.storage.array_file import ArrayWriter
from miwake.indexer.storage.text_column import TextColumn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import DTypeLike, NDArray

    from miwake.indexer.storage.reading import Snapshot

REFERENCES_FILE = "references.arrow"
VECTORS_FILE = "vectors.npy"
FORMAT_VERSION = 1
_VERSION_KEY = b"format_version"
_REPEATING = {
    "failure_mode": "failure_modes",
    "part": "parts",
    "group": "groups",
    "split": "splits",
    "source": "sources",
}
_UNIQUE = {"id": "ids", "time": "times", "row_hash": "row_hashes"}


class ReferenceWriter:
    """Writes ``references.arrow`` and ``vectors.npy`` of N references, batch by batch; use it as a context manager.

    Whoever publishes the folder makes them durable.
    """

    def __init__(self, folder: Path, n_references: int, n_values: int) -> None:
        self._folder = folder
        self._vectors = ArrayWriter(folder / VECTORS_FILE, n_references, n_values)
        self._labels: list[NDArray[np.int32]] = []
        self._texts: dict[str, list[Any]] = {name: [] for name in _UNIQUE}
        self._codes: dict[str, list[NDArray[np.int32]]] = {name: [] for name in _REPEATING}
        self._names: dict[str, dict[str, int]] = {name: {} for name in _REPEATING}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._vectors.__exit__(kind, error, trace)

    def append(self, batch: Snapshot) -> None:
        """Take further references; their vectors are written at once, everything else is held as columns."""
        import pyarrow as pa  # noqa: PLC0415 - heavy; only builders and servers of an index pay for it

        self._vectors.append(batch.vectors)
        self._labels.append(batch.labels)
        for name, attribute in _UNIQUE.items():
            self._texts[name].append(pa.array(getattr(batch, attribute), type=pa.large_utf8()))
        for name, attribute in _REPEATING.items():
            code_of = self._names[name]
            column = pa.array(getattr(batch, attribute), type=pa.large_utf8()).dictionary_encode()
            codes = [code_of.setdefault(text, len(code_of)) for text in column.dictionary.to_pylist()]
            self._codes[name].append(np.array(codes, dtype=np.int32)[column.indices.to_numpy()])

    def finish(self) -> dict[str, str]:
        """Write what was held, and return the SHA-256 of ``vectors.npy`` by its name.

        Raises
        ------
        ValueError
            If there were fewer than N references.
        """
        import pyarrow as pa  # noqa: PLC0415

        columns = {"label": pa.array(np.concatenate(self._labels), type=pa.int32())}
        for name, pieces in self._texts.items():
            columns[name] = pa.chunked_array(pieces, type=pa.large_utf8()).combine_chunks()
        for name, codes in self._codes.items():
            names = pa.array(list(self._names[name]), type=pa.large_utf8())
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(np.concatenate(codes)), names)
        batch = pa.record_batch(columns).replace_schema_metadata({_VERSION_KEY: str(FORMAT_VERSION).encode()})
        path = self._folder / REFERENCES_FILE
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        return {VECTORS_FILE: self._vectors.finish()}


def write_references(folder: Path, snapshot: Snapshot) -> None:
    """Write ``references.arrow`` and ``vectors.npy`` of references that are all there."""
    with ReferenceWriter(folder, *snapshot.vectors.shape) as writer:
        writer.append(snapshot)
        writer.finish()


def map_array(path: Path, dtype: DTypeLike, n_dimensions: int) -> NDArray[Any]:
    """Return the array in an NPY file, memory-mapped and read-only.

    Raises
    ------
    ArtifactCorruptError
        If the file holds no array of that type and number of dimensions.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        message = f"{path}: cannot be read: {error}"
        raise ArtifactCorruptError(message) from error
    if array.dtype != np.dtype(dtype) or array.ndim != n_dimensions:
        message = f"{path}: {array.dtype} with {array.ndim} dimensions, expected {np.dtype(dtype)} with {n_dimensions}"
        raise ArtifactCorruptError(message)
    return array


class ReferenceFiles:
    """The references of a verified generation.

    Attributes
    ----------
    labels : (N,) int32
    vectors : (N, V) float32
        Both memory-mapped and read-only.
    """

    def __init__(self, batch: Any, vectors: NDArray[np.float32]) -> None:
        self._batch = batch
        self._ids = TextColumn(batch.column("id"))
        self.labels: NDArray[np.int32] = batch.column("label").to_numpy(zero_copy_only=True)
        self.vectors = vectors

    @classmethod
    def open(cls, folder: Path) -> ReferenceFiles:
        """Open the files in ``folder``, whose hashes have been checked.

        Raises
        ------
        ArtifactVersionError
            If ``references.arrow`` has another format version.
        ArtifactCorruptError
            If a file cannot be read, or they disagree on N.
        """
        import pyarrow as pa  # noqa: PLC0415

        path = folder / REFERENCES_FILE
        try:
            # All references are one batch, so that every column is one piece of the mapped file.
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        except (OSError, ValueError, pa.ArrowException) as error:
            message = f"{path}: cannot be read: {error}"
            raise ArtifactCorruptError(message) from error
        version = (batch.schema.metadata or {}).get(_VERSION_KEY, b"").decode()
        if version != str(FORMAT_VERSION):
            message = f"{path}: format version {version or None}, this release reads {FORMAT_VERSION}"
            raise ArtifactVersionError(message)
        vectors = map_array(folder / VECTORS_FILE, np.float32, 2)
        if batch.num_rows != len(vectors):
            message = f"{path}: {batch.num_rows} references, {VECTORS_FILE} has {len(vectors)}"
            raise ArtifactCorruptError(message)
        return cls(batch, vectors)

    def __len__(self) -> int:
        return len(self.labels)

    def ids(self, positions: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the ids of the references at the given positions, any shape, flattened."""
        return self._ids.at(positions)

    def failure_modes(self, positions: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the failure modes of the references at the given positions, any shape, flattened."""
        return self.texts("failure_mode", positions)

    def positions_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the positions of the references with the given ids, ascending; ids that are not there have none."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        if not ids:
            return np.empty(0, dtype=np.int64)
        wanted = pa.array(ids, type=pa.large_utf8())
        return np.flatnonzero(pc.is_in(self._batch.column("id"), value_set=wanted).to_numpy(zero_copy_only=False))

    def texts(self, column: str, positions: NDArray[np.int64]) -> tuple[str, ...]:
        """Return a text column (id, time, row_hash, failure_mode, part, group, split, source) at the given positions.

        Raises
        ------
        IndexError
            If a position is not in 0 … N - 1.
        """
        import pyarrow as pa  # noqa: PLC0415

        return tuple(self._batch.column(column).take(pa.array(np.ravel(positions), type=pa.int64())).to_pylist())

    def codes(self, column: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """Return a repeating column (failure_mode, part, group, split, source) as (N,) int32 codes and their texts.

        The text of reference n is ``texts[codes[n]]``; equal texts have equal codes.
        """
        values = self._batch.column(column)
        return values.indices.to_numpy(zero_copy_only=True), tuple(values.dictionary.to_pylist())

    def is_any(self, column: str, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return for which references a repeating column holds one of the texts, (N,) bool."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        values = self._batch.column(column)
        wanted = pa.array(texts, type=pa.large_utf8())
        is_wanted: NDArray[np.bool_] = pc.is_in(values.dictionary, value_set=wanted).to_numpy(zero_copy_only=False)
        found: NDArray[np.bool_] = is_wanted[values.indices.to_numpy(zero_copy_only=True)]
        return found

    def instants(self) -> NDArray[np.datetime64]:
        """Return when each reference was inspected, (N,) in microseconds UTC; not-a-time where it is not known.

        Raises
        ------
        ArtifactCorruptError
            If a time is none.
        """
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        texts = self._batch.column("time")
        known = pc.if_else(pc.equal(texts, ""), None, texts)
        try:
            times = pc.cast(known, pa.timestamp("us", tz="UTC"))
        except pa.ArrowInvalid as error:
            message = f"{REFERENCES_FILE}: column time: {error}"
            raise ArtifactCorruptError(message) from error
        return np.asarray(times.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False))
