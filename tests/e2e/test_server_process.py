"""Starting and stopping the server as an operator does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from support.serving import (
    COMMAND,
    START_TIMEOUT_S,
    STATION,
    ServerProcess,
    SmallStation,
    connected,
    flip_a_byte,
    packed,
    refused_start,
    requests_of,
    running_server,
)
from support.settings import SAMPLES

GENERATION_FILES = (
    "anchors.npz",
    "calibration.json",
    "calibration_scores.npz",
    "canaries.npz",
    "embeddings.npy",
    "index.faiss",
    "manifest.json",
    "manifest.sha256",
    "recall.json",
    "references.arrow",
    "search.json",
    "vectors.npy",
)


HEAP_BYTES = 64 << 20
"""What the C library sets aside for a heap beside the first one, of which it uses the start, and where it aligns it."""


def n_heaps_of_threads(pid: int) -> int:
    """Return how many heaps a process has beside its first one."""
    mappings = [line.split()[:2] for line in Path(f"/proc/{pid}/maps").read_text(encoding="ascii").splitlines()]
    return sum(
        (kind, behind) == ("rw-p", "---p")
        and int(span.split("-")[0], 16) % HEAP_BYTES == 0
        and span.split("-")[1] == following.split("-")[0]
        for (span, kind), (following, behind) in pairwise(mappings)
    )


def generation_folder(store: Path) -> Path:
    return store / STATION / "generations" / "g000001"


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def test_the_files_below_are_all_of_a_generation(small_station: SmallStation) -> None:
    found = {path.name for path in generation_folder(small_station.store).iterdir()}

    # The raw maps are written only where SOART3 compares them, and hashed as the others are.
    assert found - {"raw.npy"} == set(GENERATION_FILES)


@pytest.mark.parametrize("name", GENERATION_FILES)
def test_a_flipped_byte_in_a_file_of_the_generation_is_refused_with_its_name(
    small_station: SmallStation, tmp_path: Path, name: str
) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    flip_a_byte(generation_folder(store) / name)

    ended = refused_start(store)

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert last_line(ended.stderr).startswith("miwake-serve: ")
    assert name in last_line(ended.stderr)


def test_a_flipped_byte_in_the_embedder_is_refused_with_its_name(small_station: SmallStation, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    (model,) = (store / STATION / "embedders").glob("*/embedder.onnx")
    flip_a_byte(model)

    ended = refused_start(store)

    assert ended.returncode == 1
    assert "embedder.onnx" in last_line(ended.stderr)


def test_a_missing_file_is_refused_with_its_name(small_station: SmallStation, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    (generation_folder(store) / "anchors.npz").unlink()

    ended = refused_start(store)

    assert ended.returncode == 1
    assert "anchors.npz" in last_line(ended.stderr)


def test_a_second_server_on_the_same_port_is_refused(small_station: SmallStation, server: ServerProcess) -> None:
    port = server.address.rpartition(":")[2]

    ended = refused_start(small_station.store, "--port", port)

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert last_line(ended.stderr) == (
        f"miwake-serve: 127.0.0.1:{port}: cannot be listened on: is another server running there?"
    )
    assert all(line.startswith(("{", "miwake-serve: ")) for line in ended.stderr.splitlines())
    with connected(server.address) as stub:
        assert list(stub.Inspect(requests_of(packed(small_station.queries[:1]), size=1), timeout=60))


def test_an_address_beyond_this_machine_is_refused(small_station: SmallStation) -> None:
    ended = refused_start(small_station.store, "--address", "0.0.0.0")  # noqa: S104 - refused

    assert ended.returncode == 1
    assert last_line(ended.stderr) == (
        "miwake-serve: 0.0.0.0: not a loopback address, which needs TLS (--tls-certificate and --tls-key) and"
        " credentials (--token-file, or --tls-client-ca for client certificates)"
    )


def test_an_unknown_station_is_refused_with_its_name(small_station: SmallStation) -> None:
    ended = refused_start(small_station.store, "--station", "line9")

    assert ended.returncode == 1
    assert "line9" in last_line(ended.stderr)


def test_a_store_without_stations_is_refused(tmp_path: Path) -> None:
    ended = refused_start(tmp_path)

    assert ended.returncode == 1
    assert last_line(ended.stderr) == f"miwake-serve: {tmp_path}: no station in it"


@pytest.mark.parametrize("flags", [["--port", "70000"], ["--max-batch", "0"], ["--colour", "red"], ["--config", "x"]])
def test_wrong_usage_ends_with_status_2(tmp_path: Path, flags: list[str]) -> None:
    assert refused_start(tmp_path, *flags).returncode == 2


def test_settings_come_from_flags_then_environment_then_file(small_station: SmallStation, tmp_path: Path) -> None:
    config = tmp_path / "miwake.toml"
    config.write_text(f'store = "{small_station.store}"\nport = 1\nmax_batch = 7\naddress = "::1"\n')

    process = subprocess.Popen(  # noqa: S603
        [COMMAND, "--port", "0", "--config", str(config)],
        env={**os.environ, "MIWAKE_MAX_BATCH": "8", "MIWAKE_ADDRESS": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        listening = process.stdout.readline()
        process.terminate()
        _, log = process.communicate(timeout=START_TIMEOUT_S)

    assert listening.startswith("listening on 127.0.0.1:")
    assert '"max_batch": 8' in log


def test_every_setting_comes_from_a_flag() -> None:
    command = [COMMAND, *(word for sample in SAMPLES.values() for word in sample.flags)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)  # noqa: S603

    starting = json.loads(ended.stderr.splitlines()[0])
    assert {name: starting[name] for name in SAMPLES} == {name: sample.value for name, sample in SAMPLES.items()}
    assert last_line(ended.stderr) == "miwake-serve: nowhere.example: expected an IP address such as 127.0.0.1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once_with_status_0(
    small_station: SmallStation, tmp_path: Path, number: signal.Signals
) -> None:
    with running_server(small_station.store, tmp_path / "log") as server:
        server.process.send_signal(number)

        assert server.process.wait(60) == 0
        assert [event["event"] for event in server.events("stopped")] == ["stopped"]


@pytest.mark.parametrize(("arenas", "has_more"), [(None, False), ("8", True)])
def test_heaps_are_shared_by_threads_unless_the_environment_says_otherwise(
    small_station: SmallStation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arenas: str | None,
    has_more: bool,
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    if arenas is not None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", arenas)

    with running_server(small_station.store, tmp_path / "log") as server:
        assert (n_heaps_of_threads(server.process.pid) > 1) is has_more


def test_help_loads_nothing_heavy() -> None:
    heavy = {"numpy", "grpc", "faiss", "onnxruntime", "torch"}
    code = f"import sys, miwake.server.cli; print(*{heavy} & set(sys.modules))"
    ended = subprocess.run(  # noqa: S603
        [Path(COMMAND).with_name("python"), "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout.split() == []
