"""A real station, small enough to build in seconds, and ``miwake-serve`` as a process of its own in front of it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message
from grpc_status import rpc_status

from miwake.inspection.v1 import inspection_service_pb2, inspection_service_pb2_grpc, vector_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from miwake.indexer.records import Records

Detail = TypeVar("Detail", bound=Message)

STATION = "line1"
START_TIMEOUT_S = 120.0
"""The first start on a machine compiles the kernels."""

STOP_TIMEOUT_S = 60.0
COMMAND = str(Path(sysconfig.get_path("scripts")) / "miwake-serve")


@dataclass(frozen=True)
class SmallStation:
    """A store with one station, and vectors to ask it.

    Attributes
    ----------
    store : Path
        Shared: a test that changes it makes its own copy.
    queries : (Q, V) float32
        Held-out vectors, none refused.
    more : Records
        References that the station does not have yet.
    """

    store: Path
    queries: NDArray[np.float32]
    more: Records


def build_small_station(folder: Path) -> SmallStation:
    """Build a station of a few hundred synthetic references in ``folder``."""
    # Heavy: processes that only call a server start without them.
    from miwake.indexer.build import build  # noqa: PLC0415
    from miwake.indexer.splits import held_out_split  # noqa: PLC0415
    from miwake.indexer.synthetic.generator import generate  # noqa: PLC0415
    from support.embedders import linear_discriminants  # noqa: PLC0415

    training, test = held_out_split(generate(n_parts=120, seed=1))
    is_more = np.array([part == training.parts[0] for part in training.parts])
    linear_discriminants(folder / "embedder", training)
    build(folder / "store", STATION, training.take(~is_more), folder / "embedder")
    return SmallStation(folder / "store", test.vectors, training.take(is_more))


@dataclass(frozen=True)
class TemplatedStation:
    """A store with one station whose verdicts regard templates, and held-out vectors with theirs.

    Attributes
    ----------
    store : Path
    queries, templates : (Q, V) float32
        None refused; every third has a row of NaN for its template.
    """

    store: Path
    queries: NDArray[np.float32]
    templates: NDArray[np.float32]


def build_templated_station(folder: Path) -> TemplatedStation:
    """Build a station of small synthetic maps that bring templates, enough of them to show what templates are worth."""
    from miwake.indexer.build import build  # noqa: PLC0415 - heavy
    from miwake.indexer.splits import held_out_split  # noqa: PLC0415
    from miwake.indexer.synthetic.generator import generate  # noqa: PLC0415
    from support.embedders import linear_discriminants  # noqa: PLC0415

    training, test = held_out_split(generate(n_parts=700, seed=1, heat_map_shape=(18, 20), with_templates=True))
    linear_discriminants(folder / "embedder", training)
    build(folder / "store", STATION, training, folder / "embedder")
    assert test.templates is not None
    templates = test.templates.copy()
    templates[::3] = np.nan
    return TemplatedStation(folder / "store", test.vectors, templates)


@dataclass(frozen=True)
class ServerProcess:
    """A running ``miwake-serve``."""

    process: subprocess.Popen[str]
    address: str
    log: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what it has logged under a name so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def running_server(store: Path, log: Path, *flags: str) -> Iterator[ServerProcess]:
    """Serve a store on a free port; the process is ended on leaving."""
    command = [COMMAND, "--store", str(store), "--port", "0", *flags]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,  # noqa: S603
    ):
        try:
            yield ServerProcess(process, _address(process, log), log)
        finally:
            process.kill()


def refused_start(store: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end on its own."""
    command = [COMMAND, "--store", str(store), "--port", "0", *flags]
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False
    )


@contextmanager
def connected(address: str) -> Iterator[inspection_service_pb2_grpc.InspectionServiceStub]:
    """Connect to a server over a channel of its own."""
    with open_channel(address) as channel:
        yield inspection_service_pb2_grpc.InspectionServiceStub(channel)


def open_channel(address: str) -> grpc.Channel:
    """Open a channel that shares its connection with no other."""
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def packed(vectors: NDArray[np.float32], *, first: int = 0) -> list[vector_pb2.InspectionVector]:
    """Return vectors as messages; their ids are numbers from ``first`` on."""
    return [
        vector_pb2.InspectionVector(id=str(first + row), packed=vector.astype("<f4").tobytes())
        for row, vector in enumerate(vectors)
    ]


def requests_of(
    vectors: list[vector_pb2.InspectionVector], *, size: int, as_arrays: bool = False
) -> Iterator[inspection_service_pb2.InspectRequest]:
    """Yield a stream's requests with ``size`` vectors each."""
    options = inspection_service_pb2.AnswerOptions(as_arrays=True) if as_arrays else None
    for start in range(0, len(vectors), size):
        yield inspection_service_pb2.InspectRequest(vectors=vectors[start : start + size], options=options)


def flip_a_byte(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


def detail(error: grpc.RpcError, kind: type[Detail]) -> Detail:
    """Return the google.rpc detail of a kind that a failed call carries."""
    status: Any = rpc_status.from_call(error)  # untyped
    for packed_detail in status.details:
        found = kind()
        if packed_detail.Unpack(found):
            return found
    message = f"no {kind.__name__} among the details of {error}"
    raise AssertionError(message)


def _address(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    if not line.startswith("listening on "):
        message = f"the server said {line!r} instead of where it listens: {log.read_text()}"
        raise AssertionError(message)
    return line.split()[-1]
