"""Triton's own client, unchanged, against a running server; in its own environment, for it wants an older protobuf."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from miwake.client import Client
from miwake.inference import grpc_inference_service_pb2 as messages
from miwake.inference import grpc_inference_service_pb2_grpc
from support.serving import STATION, ServerProcess, SmallStation, open_channel

TRITON_CLIENT = "tritonclient[grpc]==2.73.0"
SCRIPT = Path(__file__).parents[1] / "support" / "triton_script.py"
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def triton_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=TIMEOUT_S)  # noqa: S603
    python = folder / "bin" / "python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        TRITON_CLIENT,
    ]
    installed = subprocess.run(install, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)  # noqa: S603
    if installed.returncode:
        pytest.skip(f"{TRITON_CLIENT} cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture(scope="module")
def told(
    triton_python: Path, server: ServerProcess, small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    np.save(path, small_station.queries[:20])
    command: list[str | Path] = [triton_python, SCRIPT, server.address, STATION, path]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)  # noqa: S603
    assert asked.returncode == 0, asked.stderr
    found: dict[str, Any] = json.loads(asked.stdout)
    return found


def test_a_triton_client_finds_the_station_ready(told: dict[str, Any]) -> None:
    assert (told["name"], told["live"], told["ready"], told["model_ready"]) == ("miwake", True, True, True)
    assert told["other_ready"] is False
    assert told["inputs"] == [["vectors", "FP32", [-1, 1404]]]


def test_a_triton_client_gets_the_verdicts_of_our_own_client(
    told: dict[str, Any], server: ServerProcess, small_station: SmallStation
) -> None:
    with Client(server.address) as client:
        answers = client.classify(small_station.queries[:20], n_neighbours=3)
    verdicts = [answer.verdict for answer in answers if answer.verdict is not None]

    assert told["label"] == [verdict.label for verdict in verdicts]
    assert told["decision"] == [verdict.decision.name for verdict in verdicts]
    assert told["failure_mode"] == [verdict.failure_mode for verdict in verdicts]
    assert told["neighbour_ids"] == [list(verdict.neighbours.ids) for verdict in verdicts]
    # float32 on both sides; alone or in a batch, rounding may differ.
    assert told["probability"] == pytest.approx([verdict.probability for verdict in verdicts], abs=1e-5)
    assert (told["id"], told["version"]) == ("7", "g000001")


def test_a_triton_client_is_told_which_vector_cannot_be_judged(told: dict[str, Any]) -> None:
    assert told["refused"] == ("StatusCode.INVALID_ARGUMENT inputs[0] row 1: value 0 is nan, expected finite numbers")


def test_a_stream_of_a_triton_client_outlives_a_bad_request(told: dict[str, Any]) -> None:
    first, bad, last = told["streamed"]

    assert [first, last] == told["label"][:2]
    assert bad == "inputs[0].shape: [1, 5], expected [n, 1404], [n, rows, columns] or [1404]"


def test_another_station_is_not_found(server: ServerProcess) -> None:
    request = messages.ModelInferRequest(model_name="elsewhere")
    with open_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        grpc_inference_service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30)

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
