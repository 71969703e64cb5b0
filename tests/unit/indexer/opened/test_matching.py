from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from miwake.indexer.filters import AllOf, Filter, InspectedBetween, LabelIn, Not
from miwake.indexer.opened.matching import Columns, SnapshotColumns, matches
from miwake.indexer.storage.reading import Snapshot
from miwake.indexer.storage.reference_files import ReferenceFiles, write_references
from support.filters import START, filters, holds, time_text

N = 60
LABELS = [0, 1, 2, -7]
MODES = ["", "short", "open", "burr, left"]
PARTS = [*(f"part {number}" for number in range(12)), ""]
GROUPS = ["lot 1", "lot 2", "Ω"]
SOURCES = ["a.parquet", "b.csv"]


def snapshot(n: int = N) -> Snapshot:
    random = np.random.default_rng(3)

    def texts(values: list[str]) -> tuple[str, ...]:
        return tuple(values[number] for number in random.integers(0, len(values), n))

    return Snapshot(
        revision=1,
        vectors=np.zeros((n, 4), dtype=np.float32),
        labels=np.array(LABELS, dtype=np.int32)[random.integers(0, len(LABELS), n)],
        ids=tuple(f"r{row}" for row in range(n)),
        failure_modes=texts(MODES),
        parts=texts(PARTS),
        groups=texts(GROUPS),
        splits=("",) * n,
        sources=texts(SOURCES),
        times=tuple(time_text(int(number)) for number in random.integers(0, 40, n)),
        row_hashes=("",) * n,
    )


@pytest.fixture(scope="module", params=["generation", "memory"])
def columns(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Columns:
    if request.param == "memory":
        return SnapshotColumns(snapshot())
    folder: Path = tmp_path_factory.mktemp("generation")
    write_references(folder, snapshot())
    return ReferenceFiles.open(folder)


@given(
    wanted=filters(
        labels=[*LABELS, 99],
        failure_modes=[*MODES, "unheard of"],
        parts=PARTS,
        groups=GROUPS,
        sources=[*SOURCES, "none.npz"],
        n_hours=40,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_a_filter_holds_where_it_plainly_does(columns: Columns, wanted: Filter) -> None:
    references = snapshot()

    found = matches(wanted, columns)

    assert found.tolist() == [holds(wanted, references, row) for row in range(N)]


def test_a_reference_of_no_known_time_was_inspected_in_no_interval(columns: Columns) -> None:
    ever = matches(InspectedBetween(since=START.replace(year=1970)), columns)
    never = matches(Not(InspectedBetween(since=START.replace(year=1970))), columns)

    unknown = np.array([not text for text in snapshot().times])
    np.testing.assert_array_equal(never, unknown)
    np.testing.assert_array_equal(ever, ~unknown)


def test_no_references_are_no_matches() -> None:
    assert matches(Not(LabelIn((1,))), SnapshotColumns(snapshot(0))).tolist() == []


class CountedColumns(SnapshotColumns):
    """Columns that count how often their times are read."""

    n_read = 0

    def instants(self) -> NDArray[np.datetime64]:
        self.n_read += 1
        return super().instants()


def test_times_are_read_once_however_many_conditions_look_at_them() -> None:
    columns = CountedColumns(snapshot())

    matches(AllOf((InspectedBetween(since=START), Not(InspectedBetween(until=START)))), columns)

    assert columns.n_read == 1
