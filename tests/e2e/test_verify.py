"""1:1 verification by the real server, asked by the real clients, held to the definition computed plainly."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from miwake.client import (
    AsyncClient,
    Client,
    IndexUnusableError,
    InvalidQueryError,
    ItemErrorReason,
    PairAnswer,
    PairDistance,
    PairMember,
)
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.search.rows import to_unit_scale
from miwake.indexer.soart3.plain import measures
from support.archived import unpack
from support.serving import STATION, ServerProcess, SmallStation, running_server

PROGRAM = str(Path(sys.executable).parent / "miwake-client")


@pytest.fixture(scope="module")
def index(small_station: SmallStation) -> InspectionIndex:
    return open_index(small_station.store / STATION)


def verify(kind: str, target: str, *vectors: object, rate: float | None = None) -> list[PairAnswer]:
    async def by_asyncio() -> list[PairAnswer]:
        async with AsyncClient(target) as client:
            return await client.verify(*vectors, max_false_accept_rate=rate)  # type: ignore[arg-type]

    if kind == "asyncio":
        return asyncio.run(by_asyncio())
    with Client(target) as client:
        return client.verify(*vectors, max_false_accept_rate=rate)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_pairs_are_compared_as_the_definition_says(
    kind: str, server: ServerProcess, small_station: SmallStation, index: InspectionIndex
) -> None:
    queries, references = small_station.queries[:20], small_station.queries[20:40]
    answers = verify(kind, server.address, queries, references)
    embedded, known = (index.contents.embedder.embed(one).astype(np.float64) for one in (queries, references))
    rerank, mix = index.calibration.rerank, index.calibration.mix
    space = [embedded, known]
    if rerank.space == "raw":
        value_range = index.contents.embedder.card.value_range
        space = [to_unit_scale(one, value_range).astype(np.float64) for one in (queries, references)]
    plain = measures(space[0], space[1][:, None], p_eta=rerank.p_eta, p_gamma=rerank.p_gamma)
    odds = (
        mix.scale_weight * np.abs(plain.beta - 1) + mix.deviation_weight * plain.eta + mix.spread_weight * plain.gamma
    )
    distances = np.linalg.norm(embedded - known, axis=1)
    cosines = (embedded * known).sum(1) / np.linalg.norm(embedded, axis=1) / np.linalg.norm(known, axis=1)
    found = [answer.verification for answer in answers]

    assert [one.beta for one in found if one] == pytest.approx(plain.beta[:, 0], rel=1e-4, abs=1e-5)
    assert [one.eta for one in found if one] == pytest.approx(plain.eta[:, 0], rel=1e-4, abs=1e-5)
    assert [one.gamma for one in found if one] == pytest.approx(plain.gamma[:, 0], rel=1e-3, abs=1e-4)
    expected_match = 1 / (1 + np.exp(-(odds + mix.bias)[:, 0]))
    assert [one.match_distance for one in found if one] == pytest.approx(expected_match, abs=1e-4)
    assert [one.distance for one in found if one] == pytest.approx(distances, rel=1e-4)
    assert [one.cosine_distance for one in found if one] == pytest.approx(1 - cosines, abs=1e-5)


def test_what_decides_is_what_calibration_stored(
    server: ServerProcess, small_station: SmallStation, index: InspectionIndex
) -> None:
    answers = verify("blocking", server.address, small_station.queries[:40], small_station.queries[-40:])
    threshold = answers[0].threshold
    stored = index.pairs
    deciding = {
        PairDistance.MATCH: "match_distance",
        PairDistance.EUCLIDEAN: "distance",
        PairDistance.COSINE: "cosine_distance",
    }[threshold.distance]

    assert threshold.distance.name.lower() == stored.distance
    assert (threshold.at_most, threshold.false_accept_rate) == (
        stored.balanced.at_most,
        stored.balanced.false_accept_rate,
    )
    assert threshold.max_false_accept_rate is None
    for answer in answers:
        assert answer.verification is not None
        assert answer.verification.is_same == (getattr(answer.verification, deciding) <= threshold.at_most)
        assert answer.provenance.generation == index.generation
    assert len({answer.verification.is_same for answer in answers if answer.verification}) == 2


def test_a_vector_is_the_same_as_itself(server: ServerProcess, small_station: SmallStation) -> None:
    [answer] = verify("blocking", server.address, small_station.queries[:1], small_station.queries[:1])

    assert answer.verification is not None
    assert answer.verification.is_same
    assert (answer.verification.distance, answer.verification.cosine_distance) == (0, 0)
    assert answer.verification.probability > 0.5


def test_a_bad_reference_is_told_as_such(server: ServerProcess, small_station: SmallStation) -> None:
    references = small_station.queries[:3].copy()
    references[1, 7] = np.nan
    answers = verify("blocking", server.address, small_station.queries[:3], references)

    assert [answer.error is None for answer in answers] == [True, False, True]
    assert answers[1].error is not None
    assert (answers[1].error.reason, answers[1].error_member) == (ItemErrorReason.NON_FINITE, PairMember.REFERENCE)


def test_a_rate_that_so_few_parts_cannot_show_is_refused(server: ServerProcess, small_station: SmallStation) -> None:
    with pytest.raises(
        IndexUnusableError, match=r"a false-accept rate of 0\.001 is not shown by \d+ calibration parts"
    ):
        verify("blocking", server.address, small_station.queries[:1], small_station.queries[:1], rate=0.001)


def test_sides_of_different_lengths_are_not_sent(server: ServerProcess, small_station: SmallStation) -> None:
    with pytest.raises(InvalidQueryError, match=r"2 references, expected 3: one for each query"):
        verify("blocking", server.address, small_station.queries[:3], small_station.queries[:2])


def test_a_generation_of_an_earlier_release_says_what_to_do(tmp_path: Path) -> None:
    store = unpack(tmp_path, "store-format-2")
    flags = ("--station", "changed")
    with (
        running_server(store, tmp_path / "log", *flags) as server,
        Client(server.address) as client,
        pytest.raises(IndexUnusableError, match=r"miwake-index rebuild --store STORE --station changed"),
    ):
        client.verify(np.zeros((1, 4), dtype=np.float32), np.zeros((1, 4), dtype=np.float32))


def test_the_command_compares_two_files_row_by_row(
    server: ServerProcess, small_station: SmallStation, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", small_station.queries[:3])
    np.save(tmp_path / "b.npy", small_station.queries[[0, 10, 20]])
    command = [
        PROGRAM,
        "verify",
        str(tmp_path / "a.npy"),
        str(tmp_path / "b.npy"),
        "--target",
        server.address,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert [(line["id"], line["reference_id"]) for line in lines] == [("a:0", "b:0"), ("a:1", "b:1"), ("a:2", "b:2")]
    assert (lines[0]["is_same"], lines[0]["distance"]) == (True, 0)
    assert lines[0]["threshold"]["distance"] in {"MATCH", "EUCLIDEAN", "COSINE"}


def test_the_command_refuses_files_of_different_lengths(
    server: ServerProcess, small_station: SmallStation, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", small_station.queries[:3])
    np.save(tmp_path / "b.npy", small_station.queries[:2])
    command = [PROGRAM, "verify", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--target", server.address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 1
    assert "2 vectors, expected 3" in done.stderr
