"""The commands of the demonstration, each a process of its own, and what goes wrong with them."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

START_TIMEOUT_S = 120.0
"""For the server to say where it listens; the first start on a machine compiles its kernels."""

STOP_TIMEOUT_S = 30.0
"""For the server to answer what it has accepted and to end."""

TAIL_BYTES = 8192
CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|[\r\x00-\x08]")
FRAME = " \t│╭╮╰╯─"
ADDRESS = re.compile(rb"^listening on (\S+)\r?\n", re.MULTILINE)


class Step(StrEnum):
    """The steps of a demonstration."""

    PREPARE = "preparing the folder"
    READ = "reading the data"
    TRAIN = "training"
    BUILD = "building the index"
    SERVE = "serving"
    STREAM = "streaming"
    DRAW = "drawing"
    REPORT = "reporting"


class StepError(Exception):
    """A step of the demonstration failed; the message is one line that names the step."""

    def __init__(self, step: Step, message: str) -> None:
        super().__init__(f"{step} failed: {message}")
        self.step = step


def leave_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind as Ctrl-C does, so that whatever runs for us is stopped on the way out."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def run_step(step: Step, command: Sequence[str]) -> float:
    """Run one of our commands to its end and return the seconds it took; its output is passed on as it comes.

    Raises
    ------
    StepError
        If it ends with another status than 0; with the last line that it wrote to stderr.
    """
    begin = time.perf_counter()
    tail = b""
    with subprocess.Popen(  # noqa: S603 - one of our own commands
        _resolved(command), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment()
    ) as process:
        assert process.stderr is not None
        try:
            while chunk := os.read(process.stderr.fileno(), 65536):
                tail = (tail + chunk)[-TAIL_BYTES:]
                _pass_on(chunk)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise StepError(step, f"{_last_line(tail)} ({command[0]} {_how_it_ended(process.returncode)})")
    return time.perf_counter() - begin


@contextmanager
def running_server(store: Path, log: Path) -> Iterator[str]:
    """Run ``miwake-serve`` on a free port and yield its address; on leaving, however that comes about, stop it.

    Raises
    ------
    StepError
        If it does not start, ends on its own, or does not end with status 0 when it is told to stop.
    """
    command = _resolved(["miwake-serve", "--store", str(store), "--port", "0"])
    # A session of its own: Ctrl-C on the terminal reaches us alone, and we tell the server to stop.
    with (
        log.open("wb") as stderr,
        subprocess.Popen(  # noqa: S603 - one of our own commands
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
        ) as process,
    ):
        try:
            yield _address(process, log)
        except Exception as error:
            if process.poll() is not None:
                raise _ended(process, log) from error
            raise
        finally:
            had_ended = process.poll() is not None
            status = _stop(process)
        if had_ended or status != 0:
            raise _ended(process, log)


def _resolved(command: Sequence[str]) -> list[str]:
    """Name the program of this very environment, whatever PATH says."""
    return [str(Path(sysconfig.get_path("scripts")) / command[0]), *command[1:]]


def _environment() -> dict[str, str]:
    """Let a command that writes into our pipe show its progress as it would on our terminal."""
    if not sys.stderr.isatty():
        return dict(os.environ)
    columns = str(Console(stderr=True).width)
    return {**os.environ, "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "COLUMNS": columns}


def _pass_on(chunk: bytes) -> None:
    sys.stderr.buffer.write(chunk)
    sys.stderr.buffer.flush()


def _last_line(output: bytes) -> str:
    lines = CONTROL.sub(b"", output).decode(errors="replace").splitlines()
    told = [line.strip(FRAME) for line in lines if line.strip(FRAME)]
    return told[-1] if told else "it said nothing"


def _how_it_ended(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_S
    told = b""
    while not (found := ADDRESS.search(told)):
        told += _read_before(deadline, process.stdout, log)
    return found[1].decode()


def _read_before(deadline: float, stdout: IO[bytes], log: Path) -> bytes:
    ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
    if not ready:
        message = f"it did not say where it listens within {START_TIMEOUT_S:.0f} s: {_last_line(log.read_bytes())}"
        raise StepError(Step.SERVE, message)
    chunk = os.read(stdout.fileno(), 4096)
    if not chunk:
        raise StepError(Step.SERVE, f"it ended before it listened: {_last_line(log.read_bytes())}")
    return chunk


def _stop(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _ended(process: subprocess.Popen[bytes], log: Path) -> StepError:
    return StepError(Step.SERVE, f"miwake-serve {_how_it_ended(process.returncode)}: {_last_line(log.read_bytes())}")
