"""One server of several processes, as its operator and its clients see it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from miwake.client import Client, NewReference
from miwake.inspection.v1 import inspection_service_pb2, inspection_service_pb2_grpc
from support.serving import (
    COMMAND,
    STATION,
    ServerProcess,
    SmallStation,
    flip_a_byte,
    open_channel,
    packed,
    refused_start,
    requests_of,
    running_server,
)
from support.waiting import eventually

TIMEOUT_S = 60.0
N_CONNECTIONS = 12
"""Enough that each of two workers has some: the odds that one has none are 1 in 2,048."""


@pytest.fixture(scope="module")
def shared(small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two workers, for one test after the other."""
    folder = tmp_path_factory.mktemp("workers")
    shutil.copytree(small_station.store, folder / "store")
    with running_server(folder / "store", folder / "log", "--workers", "2", "--metrics-port", "0") as running:
        yield running
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(TIMEOUT_S) == 0


def workers(server: ServerProcess) -> dict[int, int]:
    """Return the process ids of the workers by number, as they were started last."""
    return {event["worker"]: event["pid"] for event in server.events("worker_started")}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def inspected(address: str, small_station: SmallStation) -> int:
    """Return how many vectors are judged over a connection of its own."""
    with open_channel(address) as channel:
        stub = inspection_service_pb2_grpc.InspectionServiceStub(channel)
        responses = stub.Inspect(requests_of(packed(small_station.queries[:8]), size=4), timeout=TIMEOUT_S)
        return sum(answer.HasField("verdict") for response in responses for answer in response.answers)


def counted(server: ServerProcess, name: str) -> float:
    """Return a metric's sum over its labels, as it is scraped now."""
    [bound] = server.events("metrics_exposed")
    with urllib.request.urlopen(f"http://{bound['address']}/metrics", timeout=30) as response:
        families = text_string_to_metric_families(response.read().decode())
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def health_over(channel: grpc.Channel) -> int:
    request = health_pb2.HealthCheckRequest()
    return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S).status)


def test_each_worker_answers(shared: ServerProcess, small_station: SmallStation) -> None:
    judged = [inspected(shared.address, small_station) for _ in range(N_CONNECTIONS)]

    assert judged == [8] * N_CONNECTIONS
    assert {event["worker"] for event in shared.events("serving")} == {0, 1}
    assert sorted(children(shared.process.pid)) == sorted(workers(shared).values())


@pytest.mark.parametrize("flags", [[], ["--workers", "2"]])
def test_a_second_server_on_the_address_is_refused(
    shared: ServerProcess, small_station: SmallStation, flags: list[str]
) -> None:
    port = shared.address.rpartition(":")[2]

    ended = refused_start(small_station.store, "--port", port, *flags)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"miwake-serve: 127.0.0.1:{port}: cannot be listened on: is another server running there?"
    )


def test_workers_do_not_join_a_server_of_one_process(server: ServerProcess, small_station: SmallStation) -> None:
    port = server.address.rpartition(":")[2]

    ended = refused_start(small_station.store, "--port", port, "--workers", "2")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is another server running there?" in ended.stderr.splitlines()[-1]


def test_of_servers_started_at_once_one_serves_and_its_workers_end_with_it(small_station: SmallStation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [COMMAND, "--store", str(small_station.store), "--port", str(port), "--workers", "2"]
    with ExitStack() as held:
        started = [
            held.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
            )
            for _ in range(2)
        ]
        for one in started:
            held.callback(one.kill)
        said = {one: one.stdout.readline() for one in started if one.stdout is not None}
        [serving] = [one for one in started if said[one]]
        pids = children(serving.pid)
        serving.kill()
        statuses = sorted(one.wait(TIMEOUT_S) for one in started)
        eventually(lambda: not any(map(is_alive, pids)), within_s=TIMEOUT_S)

    assert said[serving] == f"listening on 127.0.0.1:{port}\n"
    assert statuses == [-signal.SIGKILL, 1]
    assert len(pids) == 2


def test_a_change_through_one_worker_is_searched_in_the_others(
    shared: ServerProcess, small_station: SmallStation
) -> None:
    new = NewReference(id="new", vector=small_station.queries[0], label=0, failure_mode="pass")
    with ExitStack() as held:
        clients = [held.enter_context(Client(shared.address)) for _ in range(N_CONNECTIONS)]

        def nearest() -> set[str]:
            found = [client.search_neighbours(small_station.queries[:1], n_neighbours=1)[0] for client in clients]
            return {answer.neighbours.ids[0] for answer in found if answer.neighbours is not None}

        before = nearest()  # each has its connection before the change
        clients[0].references.add([new])
        eventually(lambda: nearest() == {"new"}, within_s=5)

    assert len(before) == 1
    assert {event["worker"] for event in shared.events("changes_taken_over")} == {0, 1}


def test_a_stream_is_taken_up_by_whichever_worker_the_caller_meets(
    shared: ServerProcess, small_station: SmallStation
) -> None:
    sequences = []
    for first in range(0, 4 * N_CONNECTIONS, 4):
        request = inspection_service_pb2.InspectRequest(
            vectors=packed(small_station.queries[:4]), stream_id="a-line", n_received=first, first_sequence=first
        )
        with open_channel(shared.address) as channel:
            stub = inspection_service_pb2_grpc.InspectionServiceStub(channel)
            responses = stub.Inspect(iter([request]), timeout=TIMEOUT_S)
            sequences += [answer.sequence for response in responses for answer in response.answers]

    assert sequences == list(range(4 * N_CONNECTIONS))


def test_a_worker_that_dies_is_replaced_and_its_counts_stay(shared: ServerProcess, small_station: SmallStation) -> None:
    before = counted(shared, "miwake_verdicts_total")
    first = workers(shared)
    os.kill(first[0], signal.SIGKILL)
    eventually(lambda: len(shared.events("serving")) == 3, within_s=TIMEOUT_S)
    # who had a connection to it is served anew; none is told that nothing is loaded yet
    judged = [inspected(shared.address, small_station) for _ in range(N_CONNECTIONS)]
    [died] = shared.events("worker_died")
    second = workers(shared)

    assert judged == [8] * N_CONNECTIONS
    assert (died["worker"], died["status"]) == (0, -signal.SIGKILL)
    assert (second[0] != first[0], second[1]) == (True, first[1])
    # a batch is counted after it is delivered
    eventually(lambda: counted(shared, "miwake_verdicts_total") == before + 8 * N_CONNECTIONS, within_s=5)
    assert counted(shared, "miwake_workers") == 2
    assert counted(shared, "miwake_worker_restarts_total") == 1


def test_a_worker_that_cannot_start_ends_the_whole_with_its_error(small_station: SmallStation, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    flip_a_byte(store / STATION / "generations" / "g000001" / "anchors.npz")

    ended = refused_start(store, "--workers", "2")

    plain = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(plain) == 1
    assert plain[0].startswith("miwake-serve: ")
    assert "anchors.npz" in plain[0]


def test_the_end_answers_all_that_was_accepted_by_every_worker(small_station: SmallStation, tmp_path: Path) -> None:
    sent = packed(small_station.queries[:16])
    over = threading.Event()

    def held_open() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield from requests_of(sent, size=4)
        over.wait(TIMEOUT_S)

    with running_server(small_station.store, tmp_path / "log", "--workers", "2") as own, ExitStack() as held:
        channels = [held.enter_context(open_channel(own.address)) for _ in range(N_CONNECTIONS)]
        calls = [
            inspection_service_pb2_grpc.InspectionServiceStub(channel).Inspect(held_open(), timeout=TIMEOUT_S)
            for channel in channels
        ]
        first = [next(call) for call in calls]
        healthy = {health_over(channel) for channel in channels}
        own.process.terminate()
        rest = [list(call) for call in calls]
        over.set()
        status = own.process.wait(TIMEOUT_S)
        drained = own.events("drained")

    told = [[one.draining.n_accepted for one in responses if one.HasField("draining")] for responses in rest]
    answered = [
        sum(len(one.answers) for one in [begun, *responses]) for begun, responses in zip(first, rest, strict=True)
    ]
    assert healthy == {health_pb2.HealthCheckResponse.SERVING}
    assert [[n] for n in answered] == told
    assert {call.code() for call in calls} == {grpc.StatusCode.OK}
    assert status == 0
    assert {event["worker"] for event in drained} == {0, 1}
