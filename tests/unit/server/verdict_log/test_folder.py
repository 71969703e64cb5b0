from __future__ import annotations

import sqlite3
from pathlib import Path

from structlog.testing import capture_logs

from miwake.server.verdict_log.folder import remove_oldest, seal_abandoned, segments, size_bytes
from miwake.server.verdict_log.rows import Entry
from miwake.server.verdict_log.segment import Segment
from miwake.server.verdict_log.writer import Writer
from support.verdicts import delivery, sequences

MIB = 1024 * 1024
MANY = [0.25] * 64


def fill(writer: Writer, *, n_entries: int) -> None:
    for number in range(n_entries):
        writer.append([Entry(delivery(*MANY, first_sequence=64 * number), "", number)])


def total_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def closed_segment(folder: Path, first_sequence: int) -> Path:
    segment = Segment.create(folder)
    segment.append([Entry(delivery(0.25, first_sequence=first_sequence), "", 0)])
    segment.close()
    return segment.path


def test_a_log_stays_within_its_bound_and_keeps_the_newest(tmp_path: Path) -> None:
    writer = Writer(tmp_path, 2 * MIB)
    largest = 0
    for number in range(60):
        writer.append([Entry(delivery(*MANY * 2, first_sequence=128 * number), "", number)])
        largest = max(largest, total_bytes(tmp_path))
    writer.close()
    kept = sequences(tmp_path)

    assert largest <= 2 * MIB
    assert kept == list(range(kept[0], 128 * 60))
    assert kept[0] > 0
    assert total_bytes(tmp_path) > MIB


def test_two_writers_of_one_folder_share_its_bound(tmp_path: Path) -> None:
    first, second = Writer(tmp_path, 2 * MIB), Writer(tmp_path, 2 * MIB)
    for _ in range(8):
        fill(first, n_entries=4)
        fill(second, n_entries=4)
    first.close()
    second.close()

    assert total_bytes(tmp_path) <= 2 * MIB


def test_what_somebody_writes_is_not_removed_however_old(tmp_path: Path) -> None:
    open_segment = Segment.create(tmp_path)
    open_segment.append([Entry(delivery(0.25, first_sequence=7), "", 0)])
    closed = closed_segment(tmp_path, 8)

    removed = remove_oldest(tmp_path, at_most=0)
    open_segment.append([Entry(delivery(0.25, first_sequence=9), "", 0)])
    open_segment.close()

    assert removed == [closed]
    assert sequences(tmp_path) == [7, 9]


def test_a_closed_segment_is_one_file(tmp_path: Path) -> None:
    closed = closed_segment(tmp_path, 0)

    assert list(tmp_path.iterdir()) == [closed]
    assert size_bytes(closed) == closed.stat().st_size


def test_what_a_killed_writer_left_is_made_one_file_again(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "written")
    segment.append([Entry(delivery(0.25, first_sequence=3), "", 0)])
    left = tmp_path / "left"
    left.mkdir()
    for path in (tmp_path / "written").iterdir():
        (left / path.name).write_bytes(path.read_bytes())
    segment.close()

    seal_abandoned(left)

    assert list(left.iterdir()) == [left / segment.path.name]
    assert sequences(left) == [3]


def test_a_transaction_that_was_half_written_is_dropped(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "written")
    segment.append([Entry(delivery(0.25, first_sequence=3), "", 0)])
    n_whole = size_bytes(segment.path)
    segment.append([Entry(delivery(*MANY, first_sequence=4), "", 0)])
    left = tmp_path / "left"
    left.mkdir()
    for path in (tmp_path / "written").iterdir():
        (left / path.name).write_bytes(path.read_bytes())
    wal = left / f"{segment.path.name}-wal"
    wal.write_bytes(wal.read_bytes()[: -(size_bytes(segment.path) - n_whole) // 2])
    segment.close()

    seal_abandoned(left)

    assert sequences(left) == [3]


def test_a_damaged_segment_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    closed = closed_segment(tmp_path, 0)
    closed.write_bytes(b"no database" * 500)
    Path(f"{closed}-lock").touch()

    with capture_logs() as logs:
        seal_abandoned(tmp_path)

    assert [(line["event"], line["segment"]) for line in logs] == [("verdict_log_segment_unusable", closed.name)]
    assert segments(tmp_path) == [closed]


def test_a_segment_whose_file_was_replaced_takes_nothing_more(tmp_path: Path) -> None:
    writer = Writer(tmp_path, 16 * MIB)
    fill(writer, n_entries=1)
    (old,) = segments(tmp_path)
    old.unlink()
    sqlite3.connect(old).close()
    fill(writer, n_entries=1)
    writer.close()

    assert len(segments(tmp_path)) == 2
    assert sequences_of_newest(tmp_path) == list(range(64))


def sequences_of_newest(folder: Path) -> list[int]:
    newest = segments(folder)[-1]
    connection = sqlite3.connect(newest)
    found = [row[0] for row in connection.execute("SELECT sequence FROM verdicts ORDER BY n")]
    connection.close()
    return found
