"""The command line as its users meet it: a process of its own against a real server."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.service import InMemoryService, queries, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miwake.inspection.v1 import answer_pb2

PROGRAM = str(Path(sys.executable).parent / "miwake-client")
PATIENCE_S = 60.0


@pytest.fixture
def service() -> InMemoryService:
    return InMemoryService()


@pytest.fixture
def target(service: InMemoryService) -> Iterator[str]:
    with serving(service) as address:
        yield address


@pytest.fixture
def file(tmp_path: Path) -> Path:
    vectors = queries(9)
    columns: dict[str, Any] = {f"data{place}": vectors[:, place] for place in range(12)}
    columns |= {
        "label": [0, 1, 2, 0, 1, 1, 0, 1, 2],
        "part": [f"P{row // 3}" for row in range(9)],
        "split": ["train"] * 3 + ["test"] * 6,
    }
    pq.write_table(pa.table(columns), tmp_path / "parts.parquet")
    return tmp_path / "parts.parquet"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@contextmanager
def started(*arguments: str, stdout: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program; whatever happens here, it does not outlive the test."""
    with subprocess.Popen(  # noqa: S603
        [PROGRAM, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_on_terminal(*arguments: str) -> tuple[str, int]:
    """Run with a terminal of 160 columns for stdout, and return what it showed."""
    ours, theirs = pty.openpty()
    with started(*arguments, stdout=theirs, COLUMNS="160", LINES="50", TERM="xterm") as process:
        os.close(theirs)
        shown = read_terminal(ours)
        process.communicate(timeout=PATIENCE_S)
    return shown, process.returncode


def read_terminal(ours: int) -> str:
    shown = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    except OSError:  # Linux says so, by EIO, when the other side is closed
        pass
    finally:
        os.close(ours)
    return shown.decode()


def test_a_stream_gives_one_json_object_a_line_and_a_summary(file: Path, target: str) -> None:
    outcome = run("stream", str(file), "--target", target, "--split", "test", "--neighbours", "2")

    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.returncode == 0
    assert [line["id"] for line in lines] == [f"parts:{row}" for row in range(3, 9)]
    assert [line["label"] for line in lines] == [0, 1, 2, 0, 1, 2]
    assert [line["expected_label"] for line in lines] == [0, 1, 1, 0, 1, 2]
    assert [len(line["neighbours"]) for line in lines] == [2] * 6
    assert [len(line["anchors"]) for line in lines] == [2] * 6
    assert lines[0]["context"] == {"part_id": "P1", "is_simulated": True}
    assert lines[0]["provenance"]["generation"] == "g000001"
    assert len(outcome.stderr.splitlines()) == 1
    assert outcome.stderr.startswith("6 answers, ")
    assert "2 PASS; 4 REJECT; 0 errors; 5 of 6 labels right (83.3%); station bench" in outcome.stderr


def test_a_limit_stops_early_and_a_bad_vector_is_a_line_of_its_own(tmp_path: Path, target: str) -> None:
    vectors = queries(4)
    vectors[1] = np.nan
    np.save(tmp_path / "parts.npy", vectors)

    outcome = run("stream", str(tmp_path / "parts.npy"), "--target", target, "--limit", "3", "--json")

    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.returncode == 0
    assert [line.get("label") for line in lines] == [0, None, 2]
    assert lines[1]["error"] == {"reason": "NON_FINITE", "message": "values that are not finite"}
    assert "1 errors" in outcome.stderr


def test_a_terminal_gets_a_live_table(file: Path, target: str) -> None:
    shown, status = run_on_terminal("stream", str(file), "--target", target)

    assert status == 0
    assert "9 answers" in shown
    assert "parts:8" in shown
    assert "REJECT" in shown
    assert "reference 5" in shown
    assert '"neighbours"' not in shown


def test_a_query_gives_the_neighbours_of_one_row(file: Path, target: str) -> None:
    outcome = run("query", str(file), "--row", "4", "--target", target, "--neighbours", "3")

    answer = json.loads(outcome.stdout)
    assert outcome.returncode == 0
    assert answer["id"] == "parts:4"
    assert answer["neighbours"][0]["id"] == "reference 4"
    assert len(answer["neighbours"]) == 3
    assert outcome.stderr == ""


def test_a_query_on_a_terminal_gives_a_table(file: Path, target: str) -> None:
    shown, status = run_on_terminal("query", str(file), "--split", "test", "--target", target)

    assert status == 0
    assert "nearest to parts:3" in shown
    assert "reference 3" in shown
    assert "match distance" in shown


def test_errors_are_one_line_and_status_1(file: Path, tmp_path: Path) -> None:
    with serving(InMemoryService()) as target:
        pass

    nobody = run("stream", str(file), "--target", target, "--timeout", "0.3")
    nothing = run("stream", str(tmp_path / "none.csv"), "--target", target)
    too_far = run("query", str(file), "--row", "99", "--target", target)

    assert [outcome.returncode for outcome in (nobody, nothing, too_far)] == [1, 1, 1]
    waiting, error = nobody.stderr.splitlines()
    assert waiting.endswith("; the stream goes on as soon as a server answers")
    assert error.startswith(f"miwake-client: {target}: ")
    assert nothing.stderr == f"miwake-client: {tmp_path}/none.csv: No such file or directory\n"
    assert too_far.stderr == "miwake-client: row 99, expected one of the 9 rows chosen, counted from 0\n"


@pytest.mark.parametrize("arguments", [["stream"], ["stream", "x.csv", "--limit", "0"], ["no-such-command"]])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_a_reader_that_has_enough_ends_the_stream_quietly(tmp_path: Path, target: str) -> None:
    np.save(tmp_path / "parts.npy", queries(3000))

    with started("stream", str(tmp_path / "parts.npy"), "--target", target, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        status = process.wait(PATIENCE_S)

    assert said == ""
    assert status == 141


@dataclass
class Hold:
    """Holds the answers of a server back, so that a test can act while a stream waits for them."""

    has_begun: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def __call__(self, answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
        self.has_begun.set()
        self.may_end.wait(PATIENCE_S)
        return answers


@pytest.mark.parametrize("has_terminal", [False, True])
def test_an_interrupt_ends_the_stream_with_what_was_reached(has_terminal: bool, file: Path) -> None:
    hold = Hold()
    ours, theirs = pty.openpty()

    with (
        serving(InMemoryService(tamper=hold)) as target,
        started(
            "stream", str(file), "--target", target, stdout=theirs if has_terminal else subprocess.DEVNULL
        ) as process,
    ):
        assert hold.has_begun.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
        hold.may_end.set()
    os.close(ours)
    os.close(theirs)

    assert process.returncode == 130
    assert said == "interrupted: 0 answers, 0/s; 0 errors\n"


def test_a_server_that_vanishes_and_stays_away_is_told(file: Path) -> None:
    hold = Hold()

    with ExitStack() as stack:
        with serving(InMemoryService(tamper=hold)) as target:
            # gRPC's core reports a connection that is torn down on stderr by itself, unless it is told not to.
            process = stack.enter_context(
                started(
                    "stream",
                    str(file),
                    "--target",
                    target,
                    "--timeout",
                    "1",
                    stdout=subprocess.DEVNULL,
                    GRPC_VERBOSITY="ERROR",
                )
            )
            assert hold.has_begun.wait(PATIENCE_S)
            threading.Timer(0.1, hold.may_end.set).start()
        _, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 1
    waiting, error = said.splitlines()
    assert waiting.endswith("; the stream goes on as soon as a server answers")
    assert error.startswith(f"miwake-client: {target}: ")
