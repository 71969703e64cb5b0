"""Processes that can be killed at any operation on their files: forked from one that has imported everything once."""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
import signal
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from faults.recording import Operation, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from faults.world import World

SOURCE = Path(__file__).with_name("shim.c")
LIMIT_S = 120
"""A run that takes longer hangs."""

NO_KILL = 0
PERFORM = "faults.scenarios:perform"


def find_compiler() -> str | None:
    """Return the C compiler, which the shim needs."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class Run(NamedTuple):
    """What a process did before it ended."""

    status: int
    operations: list[Operation]

    @property
    def was_killed(self) -> bool:
        """Whether it died at its fail point."""
        return self.status == -signal.SIGKILL


class Zygote:
    """Starts functions in processes of their own whose file operations are recorded.

    Parameters
    ----------
    folder : Path
        For the shim and the logs; none of the recorded folders.
    base : Path
        A folder of stations to open once, so that what is compiled or loaded on first use is there.
    """

    def __init__(self, folder: Path, base: Path) -> None:
        compiler = find_compiler()
        if compiler is None:
            message = "no C compiler (cc, gcc, clang): file operations cannot be recorded"
            raise RuntimeError(message)
        self._folder = folder
        shim = folder / "shim.so"
        command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(shim), str(SOURCE), "-ldl", "-lpthread"]
        subprocess.run(command, check=True)  # noqa: S603
        self._connection, other = Pipe()
        environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "faults.zygote", str(other.fileno()), str(shim), str(base)]
        self._process = subprocess.Popen(command, env=environment, pass_fds=[other.fileno()])  # noqa: S603
        other.close()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self,
        scenario: str,
        root: Path,
        seed: int,
        *,
        kill_at: int = NO_KILL,
        in_the_middle: bool = False,
        function: str = PERFORM,
    ) -> Run:
        """Perform a scenario, and return how that ended and what it did to the files in a folder.

        Parameters
        ----------
        scenario : text
        root : Path
            The folder; a path without links.
        seed : int
        kill_at : int
            The number of the operation at which it is killed: before it, or ``in_the_middle`` of it if it is a write.
        function : text
            ``module:name`` of what is called with the scenario, the folder, the seed, and a function that it tells what
            is acknowledged.
        """
        log = self._folder / "operations.log"
        log.unlink(missing_ok=True)
        self._connection.send((function, scenario, str(root), seed, str(log), kill_at, in_the_middle))
        status: int = self._connection.recv()
        return Run(status, read_recording(log, root))


class Bench(NamedTuple):
    """What faults are injected with.

    Attributes
    ----------
    zygote : Zygote
    base : Path
        The folder of stations that everything begins with.
    before : World
        What it holds.
    folder : Path
        Where copies of it are made.
    """

    zygote: Zygote
    base: Path
    before: World
    folder: Path


def _serve(connection: Connection, shim: ctypes.CDLL) -> None:
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        child = os.fork()
        if child == 0:
            os._exit(_work(shim, *request))
        _, status = os.waitpid(child, 0)
        connection.send(os.waitstatus_to_exitcode(status))


def _work(  # noqa: PLR0917 - a request, as it came
    shim: ctypes.CDLL, function: str, scenario: str, root: str, seed: int, log: str, kill_at: int, in_the_middle: int
) -> int:
    signal.alarm(LIMIT_S)
    module, _, name = function.partition(":")
    work: Callable[[str, Path, int, Callable[[str], None]], None] = getattr(importlib.import_module(module), name)
    shim.faults_arm(root.encode(), log.encode(), ctypes.c_long(kill_at), int(in_the_middle))
    try:
        work(scenario, Path(root), seed, lambda text: shim.faults_mark(text.encode()))
    except BaseException:  # noqa: BLE001 - told by the status, whatever it is
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        shim.faults_disarm()
    return 0


if __name__ == "__main__":
    importlib.import_module("faults.scenarios").look(Path(sys.argv[3]))
    _serve(Connection(int(sys.argv[1])), ctypes.CDLL(sys.argv[2]))
