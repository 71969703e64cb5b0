"""What the client packs is what the server reads; what nobody would pack is refused by the path of its field."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

import miwake.client.filters as client_filters
import miwake.client.options as client_options
from miwake.client.wishes import pack_evidence, pack_filter, pack_options
from miwake.indexer.filters import AllOf, AnyOf, Filter, Not
from miwake.indexer.search.options import SearchOptions
from miwake.indexer.verdict.match import MatchMix
from miwake.inspection.v1 import filter_pb2, inspection_service_pb2, search_options_pb2
from miwake.server.errors import RequestError
from miwake.server.jobs import Wishes
from miwake.server.wishes import answer_wishes, read_filter, read_options, search_wishes
from support.filters import filters

TEXTS = ["short", "", "burr, left", "Ω"]
FILTERS = filters(
    labels=[0, -7, 2**31 - 1, -(2**31)], failure_modes=TEXTS, parts=TEXTS, groups=TEXTS, sources=TEXTS, n_hours=9
)


def of_client(wanted: Filter) -> Any:
    """Return the client's twin of an indexer's filter."""
    kind = getattr(client_filters, type(wanted).__name__)
    if isinstance(wanted, AllOf | AnyOf):
        return kind(tuple(of_client(one) for one in wanted.filters))
    if isinstance(wanted, Not):
        return kind(of_client(wanted.negated))
    return kind(*(getattr(wanted, name) for name in wanted.__slots__))


@given(wanted=FILTERS)
def test_a_filter_arrives_as_it_was_sent(wanted: Filter) -> None:
    sent = pack_filter(of_client(wanted)).SerializeToString()

    assert read_filter(filter_pb2.Filter.FromString(sent), "where") == wanted


WEIGHTS = st.floats(0, 1e6)
MIXES = st.fixed_dictionaries(
    {"scale_weight": WEIGHTS, "deviation_weight": WEIGHTS, "spread_weight": WEIGHTS.map(lambda one: -one)}
)


@given(
    given_options=st.fixed_dictionaries(
        {},
        optional={
            "p_eta": st.integers(1, 8),
            "p_gamma": st.integers(1, 8),
            "space": st.sampled_from(["embedding", "raw"]),
            "n_candidates": st.integers(1, 10_000),
        },
    ),
    mix=st.none() | MIXES,
)
def test_options_arrive_as_they_were_sent(given_options: dict[str, Any], mix: dict[str, float] | None) -> None:
    sent = client_options.SearchOptions(**given_options, mix=None if mix is None else client_options.MatchMix(**mix))

    read = read_options(pack_options(sent), "options")

    assert read == SearchOptions(**given_options, mix=None if mix is None else MatchMix(**mix, bias=0.0))


def test_what_evidence_is_wanted_arrives() -> None:
    evidence = client_options.Evidence(anchors=False, search=client_options.SearchOptions(exhaustive=True))

    wanted = answer_wishes(pack_evidence(None, evidence))

    assert (wanted.omit_neighbours, wanted.omit_anchors, wanted.where) == (False, True, None)
    assert wanted.options == SearchOptions(exhaustive=True)


def test_neighbours_that_nobody_sees_are_not_searched_for() -> None:
    evidence = client_options.Evidence(neighbours=False, search=client_options.SearchOptions(exhaustive=True))

    wanted = answer_wishes(pack_evidence(None, evidence))

    assert wanted == Wishes(omit_neighbours=True)


def labels(*numbers: int) -> filter_pb2.Filter:
    return filter_pb2.Filter(labels=filter_pb2.FilterLabels(labels=numbers))


def nested(depth: int) -> filter_pb2.Filter:
    found = labels(1)
    for _ in range(depth - 1):
        found = filter_pb2.Filter(negated=found)
    return found


def all_of(*inner: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(all_of=filter_pb2.FilterList(filters=inner))


@pytest.mark.parametrize(
    ("message", "field", "problem"),
    [
        (filter_pb2.Filter(), "where", "no condition, expected exactly one"),
        (labels(), "where.labels", "0 labels, expected 1 … 10000"),
        (labels(*range(10_001)), "where.labels", "10001 labels"),
        (all_of(), "where.all_of", "0 filters"),
        (all_of(labels(1), filter_pb2.Filter()), "where.all_of.filters[1]", "no condition"),
        (
            all_of(labels(1), filter_pb2.Filter(negated=filter_pb2.Filter(parts=filter_pb2.FilterTexts()))),
            "where.all_of.filters[1].negated.parts",
            "0 parts",
        ),
        (filter_pb2.Filter(inspected=filter_pb2.FilterInterval()), "where.inspected", "expected at least one"),
        (nested(17), "where" + ".negated" * 16, "deeper than 16"),
        (nested(90), "where" + ".negated" * 16, "deeper than 16"),
        (all_of(*[labels(1)] * 256), "where.all_of", "a filter of 257 conditions"),
        (all_of(*[all_of(*[labels(1)] * 60)] * 5), "where.all_of", "conditions, expected at most 256"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_its_path(message: filter_pb2.Filter, field: str, problem: str) -> None:
    request = inspection_service_pb2.SearchNeighboursRequest(where=message)

    with pytest.raises(RequestError) as caught:
        search_wishes(request)

    assert caught.value.field == field
    assert problem in caught.value.problem


def test_a_time_out_of_the_calendar_is_refused() -> None:
    message = filter_pb2.Filter()
    message.inspected.since.seconds = 2**62

    with pytest.raises(RequestError, match=r"^where\.inspected: "):
        read_filter(message, "where")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (search_options_pb2.SearchOptions(p_eta=0), "options.p_eta"),
        (search_options_pb2.SearchOptions(p_gamma=2**32 - 1), "options.p_gamma"),
        (search_options_pb2.SearchOptions(n_candidates=10_001), "options.n_candidates"),
        (search_options_pb2.SearchOptions(n_candidates=5, exhaustive=True), "options.n_candidates"),
        (
            search_options_pb2.SearchOptions(mix=search_options_pb2.MatchMix(scale_weight=-1)),
            "options.mix.scale_weight",
        ),
        (
            search_options_pb2.SearchOptions(mix=search_options_pb2.MatchMix(spread_weight=float("nan"))),
            "options.mix.spread_weight",
        ),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_path(message: search_options_pb2.SearchOptions, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        search_wishes(inspection_service_pb2.SearchNeighboursRequest(options=message))

    assert caught.value.field == field


def test_a_space_that_is_not_known_is_refused() -> None:
    message = search_options_pb2.SearchOptions.FromString(b"\x18\x09")

    with pytest.raises(RequestError, match=r"^options\.search\.space: 9, expected one of SPACE_UNSPECIFIED"):
        answer_wishes(inspection_service_pb2.AnswerOptions(search=message))


def refused_field(data: bytes) -> str:
    """Return the field that bytes are refused for, and ``where`` if they are none at all, or a filter."""
    try:
        read_filter(filter_pb2.Filter.FromString(data), "where")
    except RequestError as error:
        return error.field
    except DecodeError:
        pass
    return "where"


@given(data=st.binary(max_size=60))
def test_bytes_at_random_are_a_filter_or_a_refusal(data: bytes) -> None:
    assert refused_field(data).startswith("where")
