"""Filters, options and evidence, from either client through a real server to the index, and from hostile callers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest  # type: ignore[import-untyped]
from typer.testing import CliRunner

from miwake.client import (
    AllOf,
    Client,
    Evidence,
    InvalidQueryError,
    LabelIn,
    MatchMix,
    Neighbours,
    Not,
    PartIn,
    SearchOptions,
)
from miwake.client.cli import app
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.search.options import SearchOptions as IndexOptions
from miwake.inspection.v1 import inspection_service_pb2
from support.clients import KINDS, classify, inspect, search_neighbours
from support.serving import STATION, ServerProcess, SmallStation, connected, detail, open_channel, packed

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def index(small_station: SmallStation) -> InspectionIndex:
    return open_index(small_station.store / STATION)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.address) as one:
        yield one


def found_by(client: Client, query: np.ndarray, **wanted: Any) -> Neighbours:
    found = client.search_neighbours([query], **wanted)[0].neighbours
    assert found is not None
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_only_references_that_a_filter_lets_through_are_found(
    kind: str, server: ServerProcess, small_station: SmallStation, index: InspectionIndex
) -> None:
    queries = small_station.queries[:5]
    nearest_part = index.contents.references.texts("part", index.search(queries[:1]).positions[0, :1])
    where = AllOf((Not(LabelIn((0,))), Not(PartIn(nearest_part))))

    answers = search_neighbours(kind, server.address, list(queries), where=where, n_neighbours=8)

    assert [len(answer.neighbours or ()) for answer in answers] == [8] * 5
    labels = np.concatenate([answer.neighbours.labels for answer in answers if answer.neighbours is not None])
    assert 0 not in labels


def test_a_filter_that_lets_nothing_through_finds_nothing(client: Client, small_station: SmallStation) -> None:
    found = found_by(client, small_station.queries[0], where=LabelIn((12345,)))

    assert len(found) == 0


@pytest.mark.parametrize(
    ("options", "same"),
    [
        (SearchOptions(p_eta=1, p_gamma=3), IndexOptions(p_eta=1, p_gamma=3)),
        (SearchOptions(space="raw"), IndexOptions(space="raw")),
        (SearchOptions(exhaustive=True), IndexOptions(exhaustive=True)),
        (SearchOptions(n_candidates=16), IndexOptions(n_candidates=16)),
    ],
)
def test_a_search_with_options_is_that_of_the_index(
    options: SearchOptions, same: IndexOptions, client: Client, small_station: SmallStation, index: InspectionIndex
) -> None:
    query = small_station.queries[3]

    found = found_by(client, query, options=options)

    expected = index.search(query[None], options=same)
    assert found.ids == expected.ids[0]
    np.testing.assert_allclose(found.etas, expected.eta[0], rtol=1e-5)
    np.testing.assert_allclose(found.match_distances, expected.match_distances[0], rtol=1e-5)


def test_a_mix_of_ones_own_ranks_the_neighbours(client: Client, small_station: SmallStation) -> None:
    mix = MatchMix(scale_weight=0.0, deviation_weight=0.0, spread_weight=1.0)

    found = found_by(client, small_station.queries[3], options=SearchOptions(mix=mix))

    assert (np.diff(found.gammas) >= 0).all()
    np.testing.assert_allclose(found.match_distances, 1 / (1 + np.exp(-found.gammas)), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_that_is_not_wanted_does_not_come(
    kind: str, server: ServerProcess, small_station: SmallStation
) -> None:
    queries = list(small_station.queries[:3])
    usual = classify(kind, server.address, queries)

    bare = classify(kind, server.address, queries, evidence=Evidence(neighbours=False, anchors=False))

    for one, other in zip(bare, usual, strict=True):
        assert one.verdict is not None
        assert other.verdict is not None
        assert (len(one.verdict.neighbours), len(one.verdict.anchors.labels)) == (0, 0)
        assert (one.verdict.label, one.verdict.decision) == (other.verdict.label, other.verdict.decision)
        assert one.verdict.probability == pytest.approx(other.verdict.probability)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_shows_other_neighbours_and_keeps_its_verdicts(
    kind: str, server: ServerProcess, small_station: SmallStation, index: InspectionIndex
) -> None:
    queries = list(small_station.queries[:4])

    answers, error = inspect(
        kind, server.address, queries, evidence=Evidence(anchors=False, search=SearchOptions(space="raw", p_eta=1))
    )

    assert error is None
    verdicts = [answer.verdict for answer in answers if answer.verdict is not None]
    shown = index.search(np.array(queries), options=IndexOptions(space="raw", p_eta=1))
    assert [verdict.neighbours.ids for verdict in verdicts] == list(shown.ids)
    assert [verdict.label for verdict in verdicts] == index.classify(np.array(queries)).labels.tolist()


def deep_filter(depth: int) -> bytes:
    """Return a search request whose filter is nested so deep, as bytes that no library would write."""
    inner = b"\x0a\x02\x0a\x00"
    for _ in range(depth):
        inner = b"\x4a" + _varint(len(inner)) + inner
    return b"\x2a" + _varint(len(inner)) + inner


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def refused_raw(address: str, request: bytes) -> grpc.StatusCode:
    method = "/miwake.inspection.v1.InspectionService/SearchNeighbours"
    with open_channel(address) as channel:
        call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            call(request, timeout=TIMEOUT_S)
    code = caught.value.code()
    assert isinstance(code, grpc.StatusCode)
    return code


def test_a_filter_nested_ten_thousand_deep_is_refused_and_harms_nobody(
    server: ServerProcess, small_station: SmallStation, client: Client
) -> None:
    assert refused_raw(server.address, deep_filter(10_000)) in (
        grpc.StatusCode.INTERNAL,  # what gRPC itself answers to a message that protobuf does not read
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert refused_raw(server.address, deep_filter(60)) is grpc.StatusCode.INVALID_ARGUMENT

    assert len(found_by(client, small_station.queries[0], n_neighbours=3)) == 3


def test_a_refused_filter_names_the_path_of_its_field(server: ServerProcess, small_station: SmallStation) -> None:
    request = inspection_service_pb2.SearchNeighboursRequest(vectors=packed(small_station.queries[:1]))
    request.where.all_of.filters.add().labels.labels.append(3)
    request.where.all_of.filters.add().negated.parts.SetInParent()

    with connected(server.address) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.SearchNeighbours(request, timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = detail(caught.value, BadRequest).field_violations
    assert violation.field == "where.all_of.filters[1].negated.parts"


def test_the_largest_filter_is_answered(server: ServerProcess, small_station: SmallStation) -> None:
    request = inspection_service_pb2.SearchNeighboursRequest(vectors=packed(small_station.queries[:1]))
    for _ in range(255):
        request.where.any_of.filters.add().parts.texts.extend(f"part {number}" for number in range(1000))

    with connected(server.address) as stub:
        response = stub.SearchNeighbours(request, timeout=TIMEOUT_S)

    assert response.answers[0].HasField("neighbours")


@pytest.mark.parametrize("where", ["label=1", 7])
def test_what_is_no_filter_is_refused_before_it_is_sent(
    where: object, client: Client, small_station: SmallStation
) -> None:
    with pytest.raises(InvalidQueryError, match="expected a filter such as"):
        found_by(client, small_station.queries[0], where=where)


@pytest.fixture
def vectors_file(small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("query") / "queries.npy"
    np.save(path, small_station.queries[:2])
    return str(path)


def test_the_command_line_filters_and_sets(server: ServerProcess, vectors_file: str) -> None:
    arguments = ["query", vectors_file, "--target", server.address, "--neighbours", "4", "--exhaustive"]

    result = CliRunner().invoke(app, [*arguments, "--where", "label!=0", "--where", "time<2000-01-01", "--json"])
    wider = CliRunner().invoke(app, [*arguments, "--where", "label!=0", "--space", "embedding"])

    assert json.loads(result.stdout)["neighbours"] == []
    found = json.loads(wider.stdout)["neighbours"]
    assert len(found) == 4
    assert all(one["label"] != 0 for one in found)


@pytest.mark.parametrize(
    "option", [["--where", "lable=1"], ["--where", "time>=2026-01-01T12:00"], ["--exhaustive", "--candidates", "5"]]
)
def test_wrong_usage_is_told_as_such(option: list[str]) -> None:
    result = CliRunner().invoke(app, ["query", "none.npy", *option])

    assert result.exit_code == 2
