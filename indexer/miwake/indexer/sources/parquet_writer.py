"""Writing records as Parquet in the schema of the source tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from miwake.indexer.errors import DataError
from miwake.indexer.records import has_template
from miwake.indexer.storage.files import write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.records import Records


def write_parquet(records: Records, path: Path) -> None:
    """Write records durably to ``path``; an older file is replaced whole or not at all.

    Columns ``data0``, ``data1``, … (uint8 where all values are whole numbers in 0 … 255, else float32), ``label``,
    ``fmode``, ``part``, ``group``, ``split``, ``id`` and, where one is known, ``time`` and ``template``, a list (null
    where a record brings none); metadata ``heat_map_shape``,
    ``pass_labels``, ``value_range`` and ``source``. ``read_records`` gives back the same values.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    values = np.ascontiguousarray(_smallest(records.vectors).T)
    columns: dict[str, Any] = {f"data{number}": pa.array(column) for number, column in enumerate(values)}
    columns["label"] = pa.array(records.labels)
    texts = {
        "fmode": records.failure_modes,
        "part": records.parts,
        "group": records.groups,
        "split": records.splits,
        "id": records.ids,
        **({"time": records.times} if any(records.times) else {}),
    }
    columns |= {name: pa.array(column, pa.string()) for name, column in texts.items()}
    if records.templates is not None:
        columns["template"] = _lists(records.templates)
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns).replace_schema_metadata(_metadata(records)),
        sink,
        compression="zstd",
        use_dictionary=list(texts),
        write_page_checksum=True,
    )
    try:
        write_durably(path, sink.getvalue().to_pybytes())
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}"
        raise DataError(message) from error


def _lists(templates: NDArray[np.float32]) -> Any:
    is_none = ~has_template(templates)
    values = _smallest(np.where(is_none[:, None], np.float32(0), templates))
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), templates.shape[1], mask=pa.array(is_none))


def _smallest(vectors: NDArray[np.float32]) -> NDArray[Any]:
    is_byte = (vectors >= 0) & (vectors <= 255) & (np.rint(vectors) == vectors) & ~np.signbit(vectors)
    return vectors.astype(np.uint8) if is_byte.all() else vectors


def _metadata(records: Records) -> dict[str, str]:
    metadata = {
        "heat_map_shape": json.dumps(list(records.heat_map_shape)),
        "pass_labels": json.dumps(list(records.pass_labels)),
        "source": records.source,
    }
    if records.value_range is not None:
        metadata["value_range"] = json.dumps(list(records.value_range))
    return metadata
