"""Arrays written row by row into NPY files, hashed on the way: nothing larger than what is handed over is held."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray


class ArrayWriter:
    """Writes an (N, columns) float32 array to a new file, as ``np.save`` would; use it as a context manager.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path, n_rows: int, n_columns: int) -> None:
        self.path = path
        self._shape = (n_rows, n_columns)
        self._n_written = 0
        self._hash = hashlib.sha256()
        self._file = path.open("w+b")
        header = {"descr": "<f4", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._file.seek(0)
        self._hash.update(self._file.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, rows: NDArray[np.float32]) -> None:
        """Write (n, columns) further rows.

        Raises
        ------
        ValueError
            If they are of another width, or more than N in all.
        """
        self._n_written += len(rows)
        if rows.shape[1:] != self._shape[1:] or self._n_written > self._shape[0]:
            message = f"{self.path}: {self._n_written} rows, the last of shape {rows.shape[1:]}; expected {self._shape}"
            raise ValueError(message)
        content = np.ascontiguousarray(rows, dtype="<f4").data
        self._hash.update(content)
        self._file.write(content)

    def finish(self) -> str:
        """Hand everything to the system and return the SHA-256 of what was written, in hexadecimal.

        Raises
        ------
        ValueError
            If fewer than N rows were written.
        """
        if self._n_written != self._shape[0]:
            message = f"{self.path}: {self._n_written} rows, expected {self._shape[0]}"
            raise ValueError(message)
        self._file.flush()
        return self._hash.hexdigest()
