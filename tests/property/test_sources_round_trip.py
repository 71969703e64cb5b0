from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from miwake.indexer.records import Records
from miwake.indexer.sources import read_records
from miwake.indexer.sources.parquet_writer import write_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
ROWS = st.integers(1, 5)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
BYTES = st.integers(0, 255).map(float)


def with_spread(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors, each told from the others by its first value and flat in none."""
    told_apart = vectors.copy()
    told_apart[:, 0] = np.arange(len(vectors))
    told_apart[:, 1] = 200
    return told_apart


@st.composite
def records(draw: st.DrawFn) -> Records:
    """Draw records that the reader accepts: whole numbers as pictures have them, or any finite float32."""
    n_rows, (rows, columns) = draw(ROWS), draw(st.sampled_from([(1, 2), (2, 2), (3, 2)]))
    values = draw(st.sampled_from([FLOATS, BYTES]))
    vectors = draw(arrays(np.float32, (n_rows, rows * columns), elements=values))
    templates = draw(st.one_of(st.none(), arrays(np.float32, vectors.shape, elements=values)))
    if templates is not None:
        templates = with_spread(templates)
        templates[draw(arrays(np.bool_, n_rows))] = np.nan
    texts = [tuple(draw(st.lists(TEXT, min_size=n_rows, max_size=n_rows))) for _ in range(3)]
    split = st.sampled_from(["train", "test", ""])
    return Records(
        vectors=with_spread(vectors),
        labels=draw(arrays(np.int32, n_rows)),
        failure_modes=texts[0],
        ids=tuple(f"id {row}" for row in range(n_rows)),
        parts=texts[1],
        groups=texts[2],
        splits=tuple(draw(st.lists(split, min_size=n_rows, max_size=n_rows))),
        times=tuple(draw(st.lists(st.sampled_from(["", "2026-01-31T12:00:00Z"]), min_size=n_rows, max_size=n_rows))),
        source="drawn",
        heat_map_shape=(rows, columns),
        pass_labels=tuple(sorted(draw(st.sets(st.integers(-5, 5), max_size=3)))),
        templates=None if templates is None or np.isnan(templates).all() else templates,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=records())
def test_what_was_written_as_parquet_is_read_back_bit_for_bit(tmp_path: Path, written: Records) -> None:
    path = tmp_path / "records.parquet"

    write_parquet(written, path)
    read = read_records(path)

    assert read.vectors.tobytes() == written.vectors.tobytes()
    assert (read.templates is None) == (written.templates is None)
    assert read.templates is None or read.templates.tobytes() == written.templates.tobytes()  # type: ignore[union-attr]
    assert read.labels.tolist() == written.labels.tolist()
    assert read.row_hashes() == written.row_hashes()
    assert (read.failure_modes, read.ids, read.parts, read.groups, read.splits, read.times) == (
        written.failure_modes,
        written.ids,
        written.parts,
        written.groups,
        written.splits,
        written.times,
    )
    assert (read.heat_map_shape, read.pass_labels, read.value_range) == (
        written.heat_map_shape,
        written.pass_labels,
        written.value_range,
    )
