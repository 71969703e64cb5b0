"""Templates beside vectors, from both clients to a real server and back as residuals."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.client import Answer, Client, Inspection, ItemErrorReason, ReferenceMap, Residuals, Retry
from miwake.indexer.answers import ResidualBatch, VerdictBatch
from miwake.indexer.opening import open_index
from support.clients import KINDS, classify, inspect
from support.cutting_proxy import cutting_proxy
from support.serving import STATION, ServerProcess, SmallStation

PROGRAM = str(Path(sys.executable).parent / "miwake-client")
QUICK = Retry(first_s=0.01, longest_s=0.05, within_s=60.0)
N_QUERIES = 60
N_CUTS = 6

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def templates(small_station: SmallStation) -> Floats:
    """The next vector for two of three, moved by a cell; none for the third."""
    rows, columns = 36, 39
    maps = np.roll(small_station.queries[1 : N_QUERIES + 1].reshape(-1, rows, columns), 1, axis=2)
    found: Floats = maps.reshape(N_QUERIES, -1).copy()
    found[::3] = np.nan
    return found


@pytest.fixture(scope="module")
def expected(small_station: SmallStation, templates: Floats) -> VerdictBatch:
    """What the index says in this process."""
    index = open_index(small_station.store / STATION)
    return index.classify(small_station.queries[:N_QUERIES], templates=templates)


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_judged_as_the_index_does_with_its_templates(
    kind: str, server: ServerProcess, small_station: SmallStation, templates: Floats, expected: VerdictBatch
) -> None:
    answers = classify(kind, server.address, small_station.queries[:N_QUERIES], templates=templates)

    assert [answer.error for answer in answers] == [None] * N_QUERIES
    assert_as_expected(answers, expected, list(range(N_QUERIES)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 16])
def test_a_stream_with_without_and_with_bad_templates_answers_each_in_its_place(
    kind: str, size: int, server: ServerProcess, small_station: SmallStation, templates: Floats, expected: VerdictBatch
) -> None:
    bad = {
        7: templates[1][:-1],
        20: np.full_like(templates[1], np.nan),
        21: templates[1] * 1000,
        43: np.where(np.arange(1404) == 700, np.inf, templates[1]),
    }
    items = [
        Inspection(
            vector=small_station.queries[row],
            id=str(row),
            template=bad.get(row, None if row % 3 == 0 else templates[row]),
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
    assert refused[7].message == "template: 1403 values, expected 1404"
    assert_as_expected(answers, expected, [row for row in range(N_QUERIES) if row not in bad])


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_is_taken_up_again_keeps_each_template_beside_its_vector(
    kind: str, server: ServerProcess, small_station: SmallStation, templates: Floats, expected: VerdictBatch
) -> None:
    shares = np.random.default_rng(3).integers(50_000, 500_000, N_CUTS).tolist()
    rows = list(range(N_QUERIES)) * 10
    items = (
        Inspection(vector=small_station.queries[row], template=None if row % 3 == 0 else templates[row]) for row in rows
    )

    with cutting_proxy(server.address, shares) as proxy:
        answers, error = inspect(kind, proxy.address, items, retry=QUICK)
        n_cuts = proxy.n_cuts

    assert error is None
    assert n_cuts == N_CUTS
    assert [answer.sequence for answer in answers] == list(range(len(rows)))
    assert_as_expected(answers, expected, rows)


def test_a_file_is_replayed_with_its_templates(
    server: ServerProcess, small_station: SmallStation, templates: Floats, expected: VerdictBatch, tmp_path: Path
) -> None:
    np.savez(tmp_path / "parts.npz", vectors=small_station.queries[:4], templates=templates[:4])

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
    server: ServerProcess, small_station: SmallStation, tmp_path: Path
) -> None:
    golden = np.full((2, 1404), 1e6, dtype=np.float32)
    golden[1] = np.nan
    np.savez(tmp_path / "parts.npz", vectors=small_station.queries[:2], templates=golden)

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
    server: ServerProcess, small_station: SmallStation
) -> None:
    plain = small_station.queries[1:3]
    items = [Inspection(vector=vector, template=np.zeros(3)) for vector in plain]

    with Client(server.address) as client:
        [found, _] = client.search_neighbours(items)
        [expected, _] = client.search_neighbours(plain)
        pairs = client.verify(items, plain)

    assert found.neighbours is not None
    assert expected.neighbours is not None
    assert found.neighbours.ids == expected.neighbours.ids
    assert [pair.error for pair in pairs] == [None, None]
