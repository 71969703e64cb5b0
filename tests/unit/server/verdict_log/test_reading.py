from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet

from miwake.inspection.v1 import vector_pb2
from miwake.server.errors import VerdictLogError
from miwake.server.verdict_log.exporting import export
from miwake.server.verdict_log.layout import COLUMNS
from miwake.server.verdict_log.reading import Group, VerdictLog, Wanted
from miwake.server.verdict_log.rows import Entry, Row
from miwake.server.verdict_log.segment import Segment
from support.index import FakeIndex
from support.verdicts import delivery

HOUR_US = 3_600_000_000
AT_NINE = datetime(2026, 5, 4, 9, tzinfo=UTC)
AT_TEN = datetime(2026, 5, 4, 10, tzinfo=UTC)


def at(time: datetime) -> int:
    return round(1e6 * time.timestamp())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A log of two processes, one of which still writes: the first answers at 9 and 10, the other at 9 and a second."""
    first, second = Segment.create(tmp_path), Segment.create(tmp_path)
    part = vector_pb2.InspectionContext(part_id="board-7")
    first.append([Entry(delivery(0.25, 0.0, context=part), "camera-1", at(AT_NINE))])
    second.append(
        [Entry(delivery(0.5, unreadable=(0,), index=FakeIndex(station="line2")), "", at(AT_NINE) + 1_000_000)]
    )
    first.append([Entry(delivery(0.25, first_sequence=2), "camera-1", at(AT_TEN))])
    second.close()
    yield tmp_path
    first.close()


def shown(rows: Iterator[Row] | list[Row]) -> list[tuple[object, ...]]:
    return [tuple(row[COLUMNS.index(name)] for name in ("station", "sequence", "label")) for row in rows]


def test_rows_of_all_segments_come_in_the_order_of_their_times(folder: Path) -> None:
    assert shown(VerdictLog(folder).rows()) == [
        ("line1", 0, 2),
        ("line1", 1, 0),
        ("line2", 0, None),
        ("line2", 1, 5),
        ("line1", 2, 2),
    ]


def test_the_newest_rows_come_last(folder: Path) -> None:
    assert shown(VerdictLog(folder).newest(2)) == [("line2", 1, 5), ("line1", 2, 2)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(station="line2"), [("line2", 0, None), ("line2", 1, 5)]),
        (Wanted(stream_id="camera-1", label=2), [("line1", 0, 2), ("line1", 2, 2)]),
        (Wanted(part_id="board-7"), [("line1", 0, 2), ("line1", 1, 0)]),
        (Wanted(decision="PASS"), [("line1", 1, 0)]),
        (Wanted(decision="ERROR"), [("line2", 0, None)]),
        (Wanted(since=AT_TEN), [("line1", 2, 2)]),
        (Wanted(until=AT_TEN, label=5), [("line2", 1, 5)]),
        (Wanted(since=AT_TEN, until=AT_TEN), []),
    ],
)
def test_only_what_is_wanted_is_read(folder: Path, wanted: Wanted, found: list[tuple[object, ...]]) -> None:
    assert shown(VerdictLog(folder).rows(wanted)) == found


def test_answers_are_counted_by_hour_station_decision_and_label(folder: Path) -> None:
    assert VerdictLog(folder).count(per="hour") == {
        Group("2026-05-04T09:00Z", "line1", "REJECT", 2): 1,
        Group("2026-05-04T09:00Z", "line1", "PASS", 0): 1,
        Group("2026-05-04T09:00Z", "line2", "ERROR", None): 1,
        Group("2026-05-04T09:00Z", "line2", "REJECT", 5): 1,
        Group("2026-05-04T10:00Z", "line1", "REJECT", 2): 1,
    }


def test_a_damaged_segment_is_named_and_the_others_are_read(folder: Path) -> None:
    damaged = folder / "00000000T000000.000000Z-1.verdicts.db"
    damaged.write_bytes(b"no database" * 500)
    log = VerdictLog(folder)

    assert len(list(log.rows())) == 5
    assert log.damaged == [f"{damaged.name}: file is not a database"]


def test_a_segment_whose_making_was_cut_off_is_empty(folder: Path) -> None:
    (folder / "00000000T000000.000000Z-1.verdicts.db").touch()
    log = VerdictLog(folder)

    assert len(list(log.rows())) == 5
    assert log.damaged == []


def test_a_segment_of_a_later_format_is_refused_by_its_version(folder: Path) -> None:
    newest = sorted(folder.glob("*.verdicts.db"))[-1]
    with closing(sqlite3.connect(newest)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(VerdictLogError, match=r"format 99, and this release reads up to 2: take a newer miwake"):
        list(VerdictLog(folder).rows())


def into_format_1(segment: Path) -> None:
    """Take away what format 2 brought."""
    with closing(sqlite3.connect(segment)) as connection:
        (view,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'verdicts'").fetchone()
        connection.execute("DROP VIEW verdicts")
        connection.execute("ALTER TABLE answers DROP COLUMN compared_with")
        connection.execute(view.replace(", answers.compared_with", ""))
        connection.execute("PRAGMA user_version = 1")


def test_segments_of_an_earlier_format_are_read_beside_newer_ones(tmp_path: Path) -> None:
    for time in (AT_NINE, AT_TEN):
        segment = Segment.create(tmp_path)
        segment.append([Entry(delivery(0.25, templates=(0.5,)), "", at(time))])
        segment.close()
    into_format_1(min(tmp_path.glob("*.verdicts.db")))
    log = VerdictLog(tmp_path)

    rows = list(log.rows())

    assert log.damaged == []
    assert [row[COLUMNS.index("label")] for row in rows] == [2, 2]
    assert [row[COLUMNS.index("compared_with")] for row in rows] == [None, "TEMPLATE"]
    assert sum(log.count().values()) == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerdictLogError, match=r"none: no such folder"):
        VerdictLog(tmp_path / "none")


def test_parquet_holds_times_and_what_the_log_holds(folder: Path, tmp_path: Path) -> None:
    n_rows = export(VerdictLog(folder).rows(), tmp_path / "answers.parquet")
    table = parquet.read_table(tmp_path / "answers.parquet")

    assert n_rows == 5
    assert table.column("answered_at").to_pylist()[-1] == AT_TEN
    assert table.column("label").to_pylist() == [2, 0, None, 5, 2]
    assert table.column("health_focus").to_pylist() == [0.25, 0, None, 0.5, 0.25]


def test_csv_and_json_lines_hold_the_same(folder: Path, tmp_path: Path) -> None:
    log = VerdictLog(folder)
    export(log.rows(), tmp_path / "answers.csv")
    export(log.rows(), tmp_path / "answers.jsonl")
    with (tmp_path / "answers.csv").open(newline="") as file:
        from_csv = list(csv.DictReader(file))
    from_json = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]

    assert [row["label"] for row in from_csv] == ["2", "0", "", "5", "2"]
    assert [row["label"] for row in from_json] == [2, 0, None, 5, 2]
    assert from_csv[0]["failure_mode"] == from_json[0]["failure_mode"] == "mode 2"


def test_an_export_to_a_name_that_says_no_format_is_refused_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(VerdictLogError, match=r"expected a name that ends in \.parquet, \.csv, \.jsonl"):
        export(VerdictLog(folder).rows(), tmp_path / "answers.xlsx")

    assert not list(tmp_path.glob("*answers*"))
