from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from miwake.server.verdict_log.recorder import Pace, VerdictRecorder
from miwake.server.verdict_log.rows import Entry
from miwake.server.verdict_log.writer import Writer
from support.index import POISON, FakeIndex
from support.verdicts import CONTEXT, delivery, read_rows, sequences

MIB = 1024 * 1024
AT_ONCE = Pace(between_commits_s=0.0, quiet_s=0.0)
TIMEOUT_S = 30


def writer(folder: Path, *, max_bytes: int = 16 * MIB) -> Writer:
    return Writer(folder, max_bytes)


class Told:
    """Remembers what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.said: list[bool] = []
        self._came = threading.Semaphore(0)

    def __call__(self, is_recorded: bool) -> None:
        self.said.append(is_recorded)
        self._came.release()

    def wait(self) -> bool:
        assert self._came.acquire(timeout=TIMEOUT_S)
        return self.said[-1]


class HeldWriter(Writer):
    """Writes only while its gate is open, as a disk that hangs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 16 * MIB)
        self.gate = threading.Event()
        self.entered = threading.Event()

    def append(self, entries: Sequence[Entry]) -> None:
        self.entered.set()
        self.gate.wait(TIMEOUT_S)
        super().append(entries)


def test_a_row_holds_the_verdict_and_what_gave_it(tmp_path: Path) -> None:
    with VerdictRecorder(writer(tmp_path)) as recorder:
        recorder.record(delivery(0.25, first_sequence=41, context=CONTEXT), stream_id="camera-2", told=Told())
    (row,) = read_rows(tmp_path)

    assert (row["station"], row["generation"], row["revision"], row["embedder"], row["threshold_set"]) == (
        ("line1", "g000001", 7, "0123456789ab", "t1")
    )
    assert (row["stream_id"], row["sequence"], row["id"], row["queue_ms"], row["compute_ms"]) == (
        ("camera-2", 41, "0", 0.5, 2.0)
    )
    assert (row["part_id"], row["job_id"], row["product_id"], row["is_simulated"]) == ("board-7", "order-3", None, 1)
    assert (row["label"], row["failure_mode"], row["decision"], row["method"]) == (2, "mode 2", "REJECT", "VOTE")
    assert (row["reasons"], row["health_focus"]) == ("CONTRADICTION", 0.25)
    assert (row["probability"], row["reject_probability"], row["margin"], row["novelty"]) == (0.75, 0.25, 0.5, 0.25)
    assert (row["reference_1"], row["distance_1"], row["reference_3"]) == ("reference-0", 0.25, "reference-2")
    assert (row["error"], row["error_message"]) == (None, None)


def test_a_row_tells_whether_the_vector_was_compared_with_a_map(tmp_path: Path) -> None:
    with VerdictRecorder(writer(tmp_path)) as recorder:
        recorder.record(delivery(0.25, 0.5, templates=(0.125, math.nan)), stream_id="", told=Told())
        recorder.record(delivery(0.75), stream_id="", told=Told())

    assert [row["compared_with"] for row in read_rows(tmp_path)] == ["TEMPLATE", None, None]


def test_vectors_without_a_verdict_are_rows_with_their_error(tmp_path: Path) -> None:
    with VerdictRecorder(writer(tmp_path)) as recorder:
        recorder.record(delivery(0.25, math.nan, POISON, 0.5, unreadable=(1,)), stream_id="", told=Told())
    rows = read_rows(tmp_path)

    assert [row["error"] for row in rows] == [None, "WRONG_LENGTH", "NON_FINITE", "INTERNAL", None]
    assert [row["label"] for row in rows] == [2, None, None, None, 5]
    assert [row["decision"] is None for row in rows] == [False, True, True, True, False]
    assert rows[1]["error_message"] == "3 values, expected 4"


def test_what_an_answer_does_not_have_is_null(tmp_path: Path) -> None:
    with VerdictRecorder(writer(tmp_path)) as recorder:
        few = delivery(0.25, index=FakeIndex(n_references=1, has_pass_labels=False))
        recorder.record(few, stream_id="", told=Told())
    (row,) = read_rows(tmp_path)

    assert (row["stream_id"], row["part_id"], row["reject_probability"]) == (None, None, None)
    assert (row["reference_1"], row["reference_2"], row["distance_2"]) == ("reference-0", None, None)


def test_a_time_that_is_none_does_not_keep_the_others_from_the_log(tmp_path: Path) -> None:
    told = Told()
    context = type(CONTEXT)(part_id="board-7")
    context.inspected_at.seconds = 2**63 - 1
    with VerdictRecorder(writer(tmp_path), AT_ONCE) as recorder:
        recorder.record(delivery(0.25, context=context), stream_id="", told=told)

    assert told.said == [True]
    assert [(row["part_id"], row["inspected_at"]) for row in read_rows(tmp_path)] == [("board-7", None)]


def test_times_are_told_as_text_to_the_microsecond(tmp_path: Path) -> None:
    context = type(CONTEXT)()
    context.inspected_at.FromJsonString("1969-12-31T23:59:58.250001Z")
    with VerdictRecorder(writer(tmp_path)) as recorder:
        recorder.record(delivery(0.25, context=context), stream_id="", told=Told())

    assert [row["inspected_at"] for row in read_rows(tmp_path)] == ["1969-12-31T23:59:58.250001Z"]


def test_what_is_told_to_be_recorded_can_be_read_at_that_moment(tmp_path: Path) -> None:
    told = Told()
    with VerdictRecorder(writer(tmp_path)) as recorder:
        recorder.record(delivery(0.25, 0.5), stream_id="", told=told)

        assert told.wait()
        assert sequences(tmp_path) == [0, 1]


def test_everything_left_is_written_before_the_end(tmp_path: Path) -> None:
    told = Told()
    with VerdictRecorder(writer(tmp_path), Pace(between_commits_s=60)) as recorder:
        for sequence in range(100):
            recorder.record(delivery(0.25, first_sequence=sequence), stream_id="s", told=told)

    assert told.said == [True] * 100
    assert sequences(tmp_path) == list(range(100))
    assert (recorder.n_recorded, recorder.n_lost, recorder.n_queued) == (100, 0, 0)


def test_a_folder_that_cannot_be_written_raises_one_alarm_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = Told()
    with capture_logs() as logs, VerdictRecorder(writer(tmp_path / "file" / "log"), AT_ONCE) as recorder:
        for sequence in range(5):
            recorder.record(delivery(0.25, first_sequence=sequence), stream_id="", told=told)
            told.wait()

        assert recorder.is_failing

    assert told.said == [False] * 5
    assert (recorder.n_recorded, recorder.n_lost) == (0, 5)
    assert [line["event"] for line in logs] == ["verdict_log_failing"]
    assert "NotADirectoryError" in logs[0]["problem"]


def test_a_log_that_can_be_written_again_says_so_and_how_much_is_missing(tmp_path: Path) -> None:
    told = Told()
    blocked = tmp_path / "log"
    blocked.touch()
    with capture_logs() as logs, VerdictRecorder(writer(blocked), AT_ONCE) as recorder:
        recorder.record(delivery(0.25), stream_id="", told=told)
        told.wait()
        blocked.unlink()
        recorder.record(delivery(0.25, first_sequence=1), stream_id="", told=told)
        told.wait()

        assert not recorder.is_failing

    assert told.said == [False, True]
    assert sequences(blocked) == [1]
    assert [(line["event"], line["n_lost"]) for line in logs][-1] == ("verdict_log_recovered", 1)


def test_a_folder_that_is_removed_is_made_again_and_nothing_is_lost_from_then_on(tmp_path: Path) -> None:
    told = Told()
    folder = tmp_path / "log"
    with VerdictRecorder(writer(folder), AT_ONCE) as recorder:
        recorder.record(delivery(0.25), stream_id="", told=told)
        told.wait()
        shutil.rmtree(folder)
        recorder.record(delivery(0.25, first_sequence=1), stream_id="", told=told)
        told.wait()

    assert told.said == [True, True]
    assert sequences(folder) == [1]


def test_answers_are_let_go_unrecorded_where_the_disk_does_not_answer(tmp_path: Path) -> None:
    told = Told()
    held = HeldWriter(tmp_path)
    with VerdictRecorder(held, Pace(between_commits_s=0, patience_s=0.05)) as recorder:
        recorder.record(delivery(0.25), stream_id="", told=told)
        assert not told.wait()
        recorder.record(delivery(0.25, first_sequence=1), stream_id="", told=told)
        assert not told.wait()
        assert recorder.is_failing
        held.gate.set()

    assert sequences(tmp_path) == [0]


def test_what_the_disk_cannot_take_is_dropped_and_counted_and_never_waited_for(tmp_path: Path) -> None:
    counted: list[tuple[int, int]] = []
    told = [Told() for _ in range(6)]
    held = HeldWriter(tmp_path)
    pace = Pace(between_commits_s=0, max_queued=4)
    with VerdictRecorder(held, pace, count=lambda *counts: counted.append(counts)) as recorder:
        recorder.record(delivery(0.25, 0.25), stream_id="", told=told[0])
        assert held.entered.wait(TIMEOUT_S)
        for sequence, one in enumerate(told[1:], start=2):
            recorder.record(delivery(0.25, first_sequence=sequence), stream_id="", told=one)
        held.gate.set()

    assert [one.said for one in told] == [[True]] * 3 + [[False]] * 3
    assert sequences(tmp_path) == [0, 1, 2, 3]
    assert [sum(column) for column in zip(*counted, strict=True)] == [4, 3]


def test_a_caller_that_fails_when_told_does_not_end_the_log(tmp_path: Path) -> None:
    told = Told()

    def fail(is_recorded: bool) -> None:
        raise RuntimeError(is_recorded)

    with capture_logs() as logs, VerdictRecorder(writer(tmp_path), AT_ONCE) as recorder:
        recorder.record(delivery(0.25), stream_id="", told=fail)
        recorder.record(delivery(0.25, first_sequence=1), stream_id="", told=told)

    assert told.said == [True]
    assert [line["event"] for line in logs] == ["verdict_log_caller_failed"]


@pytest.mark.parametrize("n_together", [1, 50])
def test_callers_of_one_batch_get_the_rows_that_are_theirs(tmp_path: Path, n_together: int) -> None:
    whole = delivery(*(row / 1000 for row in range(n_together)))
    with VerdictRecorder(writer(tmp_path)) as recorder:
        recorder.record(whole, stream_id="a", told=Told())
        recorder.record(whole, stream_id="b", told=Told())
    rows = [(row["stream_id"], round(1000 * row["novelty"])) for row in read_rows(tmp_path)]

    assert rows == [(name, row) for name in "ab" for row in range(n_together)]
