"""Templates beside vectors, from both clients to a real server and back as residuals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from miwake.client import Answer, Client, Inspection, ItemErrorReason, ReferenceMap, Residuals, Retry
from miwake.indexer.answers import ResidualBatch, VerdictBatch
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.inference import grpc_inference_service_pb2 as inference
from miwake.inference import grpc_inference_service_pb2_grpc
from miwake.inspection.v1 import index_service_pb2, index_service_pb2_grpc
from support.clients import KINDS, classify, inspect
from support.cutting_proxy import cutting_proxy
from support.serving import (
    STATION,
    ServerProcess,
    TemplatedStation,
    build_templated_station,
    open_channel,
    running_server,
)

PROGRAM = str(Path(sys.executable).parent / "miwake-client")
QUICK = Retry(first_s=0.01, longest_s=0.05, within_s=60.0)
N_QUERIES = 60
N_CUTS = 6


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> TemplatedStation:
    found = build_templated_station(tmp_path_factory.mktemp("templated"))
    return replace(found, queries=found.queries[:N_QUERIES], templates=found.templates[:N_QUERIES])


@pytest.fixture(scope="module")
def server(station: TemplatedStation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(station.store, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def index(station: TemplatedStation) -> InspectionIndex:
    return open_index(station.store / STATION)


@pytest.fixture(scope="module")
def expected(station: TemplatedStation, index: InspectionIndex) -> VerdictBatch:
    """What the index says in this process."""
    return index.classify(station.queries, templates=station.templates)


def measures(residuals: Residuals | None) -> list[float]:
    if residuals is None:
        return [0.0] * 3 + [np.nan] * 9
    return [float(getattr(residuals, field.name)) for field in fields(residuals)]


def assert_as_expected(answers: list[Answer], expected: VerdictBatch, rows: list[int]) -> None:
    verdicts = [answer.verdict for answer in answers if answer.verdict is not None]
    assert [verdict.label for verdict in verdicts] == expected.labels[rows].tolist()
    assert [int(verdict.decision) for verdict in verdicts] == expected.decisions[rows].tolist()
    residuals = expected.residuals
    assert residuals is not None
    by_index = np.stack([getattr(residuals, field.name)[rows] for field in fields(ResidualBatch)], axis=1)
    # SPEC promise 3: alone as in any batch but for rounding.
    np.testing.assert_allclose([measures(one.residuals) for one in verdicts], by_index, rtol=1e-5, atol=1e-5)


def test_verdicts_regard_templates_where_calibration_found_that_they_help(
    server: ServerProcess, station: TemplatedStation, index: InspectionIndex, expected: VerdictBatch
) -> None:
    without = index.classify(station.queries)

    with Client(server.address) as client:
        answers = client.classify(station.queries)
    with open_channel(server.address) as channel:
        described = index_service_pb2_grpc.IndexServiceStub(channel).DescribeIndex(
            index_service_pb2.DescribeIndexRequest(), timeout=60
        )

    assert described.description["reference_map"] == index.reference_map == "template"
    assert [answer.verdict and answer.verdict.label for answer in answers] == without.labels.tolist()
    assert [answer.verdict and answer.verdict.residuals for answer in answers] == [None] * N_QUERIES
    is_given = np.arange(N_QUERIES) % 3 != 0
    assert without.reject_probabilities is not None
    assert expected.reject_probabilities is not None
    moved = np.abs(without.reject_probabilities - expected.reject_probabilities) > 0.01
    assert moved[is_given].mean() > 0.5
    assert not moved[~is_given].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_judged_as_the_index_does_with_its_templates(
    kind: str, server: ServerProcess, station: TemplatedStation, expected: VerdictBatch
) -> None:
    answers = classify(kind, server.address, station.queries, templates=station.templates)

    assert [answer.error for answer in answers] == [None] * N_QUERIES
    assert_as_expected(answers, expected, list(range(N_QUERIES)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 16])
def test_a_stream_with_without_and_with_bad_templates_answers_each_in_its_place(
    kind: str, size: int, server: ServerProcess, station: TemplatedStation, expected: VerdictBatch
) -> None:
    good = station.templates[1]
    bad = {
        7: good[:-1],
        20: np.full_like(good, np.nan),
        21: good * 1000,
        43: np.where(np.arange(360) == 70, np.inf, good),
    }
    items = [
        Inspection(
            vector=station.queries[row],
            id=str(row),
            template=bad.get(row, None if row % 3 == 0 else station.templates[row]),
        )
        for row in range(N_QUERIES)
    ]

    answers, error = inspect(kind, server.address, items, vectors_per_message=size)

    assert error is None
    assert [answer.id for answer in answers] == [str(row) for row in range(N_QUERIES)]
    refused = {answer.sequence: answer.error for answer in answers if answer.error is not None}
    assert {sequence: one.reason for sequence, one in refused.items()} == dict.fromkeys(
        bad, ItemErrorReason.BAD_TEMPLATE
    )
    assert refused[7].message == "template: 359 values, expected 360"
    assert_as_expected(answers, expected, [row for row in range(N_QUERIES) if row not in bad])


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_is_taken_up_again_keeps_each_template_beside_its_vector(
    kind: str, server: ServerProcess, station: TemplatedStation, expected: VerdictBatch
) -> None:
    shares = np.random.default_rng(3).integers(20_000, 200_000, N_CUTS).tolist()
    rows = list(range(N_QUERIES)) * 10
    items = (
        Inspection(vector=station.queries[row], template=None if row % 3 == 0 else station.templates[row])
        for row in rows
    )

    with cutting_proxy(server.address, shares) as proxy:
        answers, error = inspect(kind, proxy.address, items, retry=QUICK)
        n_cuts = proxy.n_cuts

    assert error is None
    assert n_cuts == N_CUTS
    assert [answer.sequence for answer in answers] == list(range(len(rows)))
    assert_as_expected(answers, expected, rows)


def test_a_file_is_replayed_with_its_templates(
    server: ServerProcess, station: TemplatedStation, expected: VerdictBatch, tmp_path: Path
) -> None:
    np.savez(tmp_path / "parts.npz", vectors=station.queries[:4], templates=station.templates[:4])

    replay = subprocess.run(  # noqa: S603
        [PROGRAM, "stream", tmp_path / "parts.npz", "--target", server.address, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )

    found = [json.loads(line)["residuals"] for line in replay.stdout.splitlines()]
    assert [one and one["reference"] for one in found] == [None, ReferenceMap.TEMPLATE.name, "TEMPLATE", None]
    assert expected.residuals is not None
    assert found[1]["beta"] == pytest.approx(float(expected.residuals.beta[1]), rel=1e-5)


def test_a_load_sends_the_templates_of_its_file(
    server: ServerProcess, station: TemplatedStation, tmp_path: Path
) -> None:
    golden = np.full((2, 360), 1e6, dtype=np.float32)
    golden[1] = np.nan
    np.savez(tmp_path / "parts.npz", vectors=station.queries[:2], templates=golden)

    bench = subprocess.run(  # noqa: S603
        [PROGRAM, "bench", tmp_path / "parts.npz", "--target", server.address, "--rate", "100", "--duration", "0.2"],
        capture_output=True,
        text=True,
        check=False,
    )

    report = json.loads(bench.stdout)
    assert report["errors"] in (report["answers"] // 2, (report["answers"] + 1) // 2)
    assert report["errors"] > 0


def test_searches_and_pairs_take_inspections_with_templates_and_do_without(
    server: ServerProcess, station: TemplatedStation
) -> None:
    plain = station.queries[1:3]
    items = [Inspection(vector=vector, template=np.zeros(3)) for vector in plain]

    with Client(server.address) as client:
        [found, _] = client.search_neighbours(items)
        [expected, _] = client.search_neighbours(plain)
        pairs = client.verify(items, plain)

    assert found.neighbours is not None
    assert expected.neighbours is not None
    assert found.neighbours.ids == expected.neighbours.ids
    assert [pair.error for pair in pairs] == [None, None]


def test_a_second_tensor_is_as_good_as_templates_in_messages(
    server: ServerProcess, station: TemplatedStation, expected: VerdictBatch
) -> None:
    request = inference.ModelInferRequest(
        raw_input_contents=[station.templates.astype("<f4").tobytes(), station.queries.astype("<f4").tobytes()]
    )
    for name in ("templates", "vectors"):
        request.inputs.add(name=name, datatype="FP32", shape=station.queries.shape)
    for name in ("label", "residuals"):
        request.outputs.add(name=name)

    with open_channel(server.address) as channel:
        stub = grpc_inference_service_pb2_grpc.GRPCInferenceServiceStub(channel)
        described = stub.ModelMetadata(inference.ModelMetadataRequest(), timeout=60)
        labels, residuals = stub.ModelInfer(request, timeout=60).raw_output_contents

    assert [one.name for one in described.inputs] == ["vectors", "templates"]
    assert np.frombuffer(labels, dtype="<i4").tolist() == expected.labels.tolist()
    assert expected.residuals is not None
    beta = np.frombuffer(residuals, dtype="<f4").reshape(N_QUERIES, -1)[:, 0]
    np.testing.assert_allclose(beta, expected.residuals.beta, rtol=1e-5, atol=1e-5)
