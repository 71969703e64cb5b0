"""One worker as its supervisor sees it: a process that is told to stop over a pipe, and says over another how it is.

The pipes outlive no process: a worker whose supervisor is gone, however it went, reads the end of its orders and ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

COMMAND = (sys.executable, "-P", "-m", "miwake.server.workers.worker")

STOP = b"stop\n"
"""The order to answer what is accepted, and to end."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A worker has loaded everything and answers."""

    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker's process is over.

    Attributes
    ----------
    number : int
    status : int
        Its exit status; negative for the signal that killed it.
    error : text
        Why it could not serve; empty where it did not say.
    """

    number: int
    status: int
    error: str


class WorkerProcess:
    """A worker's process, and the thread that listens to it."""

    def __init__(
        self, number: int, process: subprocess.Popen[bytes], tell: Callable[[Serving | Ended], object]
    ) -> None:
        self.number = number
        self.pid = process.pid
        self._process = process
        self._orders = cast("IO[bytes]", process.stdin)
        self._told = cast("IO[bytes]", process.stdout)
        self._listener = threading.Thread(target=self._listen, args=(tell,), name=f"worker {number}")
        self._listener.start()

    @classmethod
    def start(
        cls,
        number: int,
        task: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        tell: Callable[[Serving | Ended], object],
    ) -> Self:
        """Start a worker.

        Parameters
        ----------
        number : int
            Which of the workers it is.
        task : mapping
            What it is given to do, as JSON.
        environment : mapping of text to text
            Added to this process's own.
        tell : function of Serving or Ended
            Called on a thread of this worker's.
        """
        process = subprocess.Popen(  # noqa: S603 - our own program
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            # What is typed at a terminal reaches the supervisor alone.
            process_group=0,
        )
        worker = cls(number, process, tell)
        worker._order(json.dumps(dict(task)).encode() + b"\n")
        return worker

    def stop(self) -> None:
        """Let it answer what it has accepted, and end."""
        self._order(STOP)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """Wait until it is over, and close the pipes."""
        self._listener.join()
        with suppress(BrokenPipeError):
            self._orders.close()

    def _order(self, line: bytes) -> None:
        with suppress(BrokenPipeError):
            self._orders.write(line)
            self._orders.flush()

    def _listen(self, tell: Callable[[Serving | Ended], object]) -> None:
        error = ""
        with self._told as lines:
            for line in lines:
                said = json.loads(line)
                error = said.get("error", error)
                if "serving" in said:
                    tell(Serving(self.number))
        tell(Ended(self.number, self._process.wait(), error))
