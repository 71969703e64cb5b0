"""References changed and shown over gRPC: the real clients, a real server, a store on disk."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import grpc
import numpy as np
import pytest

from miwake.client import (
    AsyncClient,
    Client,
    ConflictError,
    Inspection,
    InspectionContext,
    InvalidQueryError,
    NewReference,
    NotFoundError,
    ReferenceChange,
)
from miwake.indexer.opening import roll_back
from miwake.indexer.storage.store import ReferenceStore
from miwake.inspection.v1 import reference_service_pb2 as messages
from miwake.inspection.v1 import reference_service_pb2_grpc
from support.serving import STATION, ServerProcess, SmallStation, open_channel, running_server

BURR = 44
PROGRAM = str(Path(sys.executable).parent / "miwake-client")


@pytest.fixture
def own_station(small_station: SmallStation, tmp_path: Path) -> SmallStation:
    shutil.copytree(small_station.store, tmp_path / "store")
    return SmallStation(tmp_path / "store", small_station.queries, small_station.more)


@pytest.fixture
def own_server(own_station: SmallStation, tmp_path: Path) -> Iterator[ServerProcess]:
    # A look every hour: what is seen of a change is not due to the watcher.
    with running_server(own_station.store, tmp_path / "log", "--poll-s", "3600") as running:
        yield running


def burrs(queries: np.ndarray[tuple[int, int], np.dtype[np.float32]], n: int) -> list[NewReference]:
    return [NewReference(id=f"burr-{row}", vector=queries[row], label=BURR, failure_mode="burr") for row in range(n)]


def test_an_added_reference_is_found_by_the_next_search(own_server: ServerProcess, own_station: SmallStation) -> None:
    with Client(own_server.address) as client:
        change = client.references.add(burrs(own_station.queries, 3))
        [answer] = client.search_neighbours(own_station.queries[1:2], n_neighbours=1)

    assert change == ReferenceChange(
        revision=2, n_added=3, n_relabelled=0, n_removed=0, n_unchanged=0, is_searched=True
    )
    assert answer.neighbours is not None
    assert answer.neighbours.ids == ("burr-1",)
    assert answer.provenance.revision == 2


def test_what_is_acknowledged_survives_a_kill(own_station: SmallStation, tmp_path: Path) -> None:
    with running_server(own_station.store, tmp_path / "log") as server:
        with Client(server.address) as client:
            client.references.add(burrs(own_station.queries, 2), actor="Ada")
        server.process.kill()
        server.process.wait()

    with ReferenceStore.open(own_station.store / STATION) as store:
        assert [entry.actor for entry in store.history("burr-1")] == ["Ada"]


def test_a_reference_comes_back_as_it_was_given(own_server: ServerProcess, own_station: SmallStation) -> None:
    at = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
    context = InspectionContext(part_id="P-17", inspected_at=at)
    given = NewReference(
        id="ü 1",
        vector=Inspection(vector=own_station.queries[0], context=context),
        label=-7,
        failure_mode="Kratzer",
        group="lot 4",
    )
    with Client(own_server.address) as client:
        client.references.add([given], source="desk 3", actor="Ada")
        client.references.relabel(["ü 1"], 8, "scratch", actor="Bo")
        stored = client.references.get("ü 1", with_vector=True)

    found = stored.reference
    assert (found.id, found.label, found.failure_mode) == ("ü 1", 8, "scratch")
    assert (found.part, found.group, found.source, found.inspected_at) == ("P-17", "lot 4", "desk 3", at)
    assert stored.vector is not None
    assert stored.vector.tobytes() == own_station.queries[0].tobytes()
    assert [(one.verb, one.actor, one.from_label, one.to_label) for one in stored.history] == [
        ("add", "Ada", None, -7),
        ("relabel", "Bo", -7, 8),
    ]


def test_pages_are_of_one_revision_whatever_changes_meanwhile(
    own_server: ServerProcess, own_station: SmallStation
) -> None:
    with Client(own_server.address) as client:
        before = [one.id for one in client.references.list()]
        listing = client.references.list(page_size=7)
        first = next(listing).id
        client.references.remove(before[-2:])
        client.references.add(burrs(own_station.queries, 1))
        during = [first, *(one.id for one in listing)]
        after = [one.id for one in client.references.list()]

    assert during == before
    assert after == [*before[:-2], "burr-0"]


def test_adding_the_same_again_changes_nothing(own_server: ServerProcess, own_station: SmallStation) -> None:
    with Client(own_server.address) as client:
        client.references.add(burrs(own_station.queries, 2))
        again = client.references.add(burrs(own_station.queries, 3))

    assert (again.revision, again.n_added, again.n_unchanged) == (3, 1, 2)


def test_a_reference_keeps_its_template(own_server: ServerProcess, own_station: SmallStation) -> None:
    first, second = own_station.queries[:2]
    given = [
        NewReference(id="with", vector=Inspection(vector=first, template=second), label=BURR, failure_mode="burr"),
        NewReference(id="without", vector=second, label=BURR, failure_mode="burr"),
    ]
    other = NewReference(
        id="without", vector=Inspection(vector=second, template=first), label=BURR, failure_mode="burr"
    )
    with Client(own_server.address) as client:
        client.references.add(given)
        again = client.references.add(given)
        stored = [client.references.get(one.id, with_vector=True) for one in given]
        unasked = client.references.get("with")
        with pytest.raises(ConflictError, match="without"):
            client.references.add([other])

    assert again.n_unchanged == 2
    assert [one.template is None for one in (*stored, unasked)] == [False, True, True]
    assert stored[0].template is not None
    assert stored[0].template.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (np.ones(3, dtype=np.float32), r"references\[1\].vector: template: 3 values, expected 1404"),
        (np.full(1404, 1e6, dtype=np.float32), "template.*leave the trained range"),
    ],
)
def test_references_with_a_bad_template_are_refused_whole(
    template: np.ndarray[tuple[int], np.dtype[np.float32]],
    message: str,
    server: ServerProcess,
    small_station: SmallStation,
) -> None:
    good, bad = (
        NewReference(id=name, vector=Inspection(vector=vector, template=beside), label=BURR, failure_mode="burr")
        for name, vector, beside in zip(
            ("good", "bad"), small_station.queries, (small_station.queries[0], template), strict=False
        )
    )
    with Client(server.address) as client:
        with pytest.raises(InvalidQueryError, match=message):
            client.references.add([good, bad])
        with pytest.raises(NotFoundError):
            client.references.get("good")


def test_an_id_that_stands_for_another_vector_is_a_conflict(
    own_server: ServerProcess, own_station: SmallStation
) -> None:
    other = NewReference(id="burr-0", vector=own_station.queries[5], label=BURR, failure_mode="burr")
    with Client(own_server.address) as client:
        client.references.add(burrs(own_station.queries, 1))
        with pytest.raises(ConflictError, match="burr-0"):
            client.references.add([other])


def test_one_bad_reference_keeps_all_out(own_server: ServerProcess, own_station: SmallStation) -> None:
    bad = NewReference(id="bad", vector=np.full_like(own_station.queries[0], np.nan), label=BURR, failure_mode="burr")
    with Client(own_server.address) as client:
        with pytest.raises(InvalidQueryError, match=r"row 1 \(id 'bad'\): value 0 is nan"):
            client.references.add([*burrs(own_station.queries, 1), bad])
        with pytest.raises(NotFoundError, match="no reference 'burr-0'"):
            client.references.get("burr-0")


def test_after_a_roll_back_changes_wait(own_station: SmallStation, tmp_path: Path) -> None:
    roll_back(own_station.store / STATION, "g000001")
    with running_server(own_station.store, tmp_path / "log") as server, Client(server.address) as client:
        change = client.references.add(burrs(own_station.queries, 1))
        [answer] = client.search_neighbours(own_station.queries[:1], n_neighbours=1)

    assert (change.n_added, change.is_searched) == (1, False)
    assert answer.neighbours is not None
    assert answer.neighbours.ids != ("burr-0",)


def test_many_callers_change_references_while_others_stream(
    own_server: ServerProcess, own_station: SmallStation
) -> None:
    def add(number: int) -> int:
        one = NewReference(id=f"one-{number}", vector=own_station.queries[number % 40], label=BURR, failure_mode="burr")
        with Client(own_server.address) as client:
            return client.references.add([one]).revision

    done = threading.Event()

    def endless() -> Iterator[np.ndarray[tuple[int], np.dtype[np.float32]]]:
        while not done.is_set():
            yield own_station.queries[0]

    with Client(own_server.address) as watching, ThreadPoolExecutor(8) as pool:
        answers = watching.inspect(endless())
        revisions = pool.map(add, range(24))
        seen = [next(answers).provenance.revision for _ in range(50)]
        added = sorted(revisions)
        done.set()
        seen += [answer.provenance.revision for answer in answers]

    assert added == list(range(2, 26))
    assert seen == sorted(seen)


def test_the_asyncio_client_does_the_same(own_server: ServerProcess, own_station: SmallStation) -> None:
    async def run() -> tuple[list[str], int, list[str]]:
        async with AsyncClient(own_server.address) as client:
            await client.references.add(burrs(own_station.queries, 2))
            await client.references.relabel(["burr-0"], 45, "big burr")
            change = await client.references.remove(["burr-1"])
            stored = await client.references.get("burr-0")
            ids = [one.id async for one in client.references.list(page_size=50)]
            return [one.verb for one in stored.history], change.n_removed, ids

    verbs, n_removed, ids = asyncio.run(run())

    assert (verbs, n_removed) == (["add", "relabel"], 1)
    assert ids[-1] == "burr-0"


def test_nothing_is_taken_without_a_label(own_server: ServerProcess, own_station: SmallStation) -> None:
    request = messages.AddReferencesRequest()
    request.references.add().vector.packed = own_station.queries[0].tobytes()
    with open_channel(own_server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        reference_service_pb2_grpc.ReferenceServiceStub(channel).AddReferences(request, timeout=30)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "references[0].label: not set, expected a class code"


@pytest.mark.parametrize("token", ["x", "1", "1:x", "-1:0", "99:0", "1:" + "9" * 40, "¹:0"])
def test_a_page_token_that_was_not_given_out_is_refused(own_server: ServerProcess, token: str) -> None:
    request = messages.ListReferencesRequest(page_token=token)
    with open_channel(own_server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        reference_service_pb2_grpc.ReferenceServiceStub(channel).ListReferences(request, timeout=30)

    assert caught.value.details() == "page_token: not one that was given out"


def client_command(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, *arguments, "--target", server.address]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603


def test_references_are_looked_after_on_the_command_line(
    own_server: ServerProcess, own_station: SmallStation, tmp_path: Path
) -> None:
    np.savez(tmp_path / "burrs.npz", vectors=own_station.queries[:2], ids=["b0", "b1"], parts=["P1", "P2"])

    added = client_command(
        own_server, "add", str(tmp_path / "burrs.npz"), "--label", "44", "--failure-mode", "burr", "--actor", "Ada"
    )
    relabelled = client_command(own_server, "relabel", "b0", "--label", "45", "--failure-mode", "big burr")
    removed = client_command(own_server, "remove", "b1")
    shown = client_command(own_server, "references", "b0")
    listed = client_command(own_server, "references")

    assert json.loads(added.stdout)["n_added"] == 2
    assert json.loads(relabelled.stdout)["n_relabelled"] == 1
    assert json.loads(removed.stdout)["revision"] == 4
    told = json.loads(shown.stdout)
    assert (told["label"], told["part"], told["source"]) == (45, "P1", "burrs.npz")
    assert told["history"][0]["actor"] == "Ada"
    assert json.loads(listed.stdout.splitlines()[-1])["id"] == "b0"


def test_a_file_without_labels_needs_one(server: ServerProcess, small_station: SmallStation, tmp_path: Path) -> None:
    np.savez(tmp_path / "parts.npz", vectors=small_station.queries[:2], ids=["b0", "b1"])

    refused = client_command(server, "add", str(tmp_path / "parts.npz"), "--failure-mode", "burr")

    assert refused.returncode == 1
    assert refused.stderr == "miwake-client: b0: no label in the file; give --label\n"


def test_what_is_not_there_is_told_in_one_line(server: ServerProcess) -> None:
    refused = client_command(server, "remove", "nobody")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "miwake-client: line1: no reference 'nobody'\n"
