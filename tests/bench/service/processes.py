"""Processes of a measurement: started, ready, let go, and what they and the server took meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.modules import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Went:
    """What a run of a load took.

    Attributes
    ----------
    elapsed_s : float
        From the first message to the last answer.
    client_s, server_s : float
        Of the processors, in the load's process and in the server's.
    told : mapping
        All that the load's process said.
    """

    elapsed_s: float
    client_s: float
    server_s: float
    told: dict[str, float]

    @property
    def both_s(self) -> float:
        """Of the processors, in both processes."""
        return self.client_s + self.server_s


class Load:
    """A process of its own that has made its messages, and waits to be let go."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._line()

    def go(self, server_pid: int) -> Went:
        """Let it send, and wait for its last answer."""
        before = processor_s(server_pid)
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = json.loads(self._line())
        server_s = processor_s(server_pid) - before
        return Went(elapsed_s=told["elapsed_s"], client_s=told["client_s"], server_s=server_s, told=told)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"a load has ended early: {self._process.args!r}"
        return line


@contextmanager
def started(command: Sequence[str], *, variables: Mapping[str, str] | None = None) -> Iterator[Load]:
    """Start a load, which says when it is ready; it is ended on leaving."""
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
    ) as process:
        try:
            yield Load(process)
        finally:
            process.kill()


def run_load(module: str, *arguments: str, server_pid: int) -> Went:
    """Run a load that is a module of this package once."""
    with started([sys.executable, "-m", f"bench.service.{module}", *arguments], variables=environment()) as load:
        return load.go(server_pid)


def processor_s(pid: int) -> float:
    """Return the processor time that a process and its ended children have taken so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S
