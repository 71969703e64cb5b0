"""What a request asks for beside its vectors: from messages to the indexer's filters and options, strictly."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from miwake.indexer.errors import FilterError, SearchOptionsError
from miwake.indexer.filters import (
    LARGEST_DEPTH,
    AllOf,
    AnyOf,
    FailureModeIn,
    GroupIn,
    InspectedBetween,
    LabelIn,
    Not,
    PartIn,
    SourceIn,
)
from miwake.indexer.search.options import AS_CALIBRATED, SearchOptions
from miwake.indexer.verdict.match import MatchMix
from miwake.inspection.v1 import search_options_pb2
from miwake.server.errors import RequestError
from miwake.server.jobs import AS_USUAL, Wishes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from google.protobuf.timestamp_pb2 import Timestamp

    from miwake.indexer.filters import Filter
    from miwake.indexer.verdict.calibration import Space
    from miwake.inspection.v1 import filter_pb2, inspection_service_pb2

TEXT_CONDITIONS: Mapping[str, type[FailureModeIn | PartIn | GroupIn | SourceIn]] = {
    "failure_modes": FailureModeIn,
    "parts": PartIn,
    "groups": GroupIn,
    "sources": SourceIn,
}
SPACES: Mapping[int, Space | None] = {
    search_options_pb2.SPACE_UNSPECIFIED: None,
    search_options_pb2.SPACE_EMBEDDING: "embedding",
    search_options_pb2.SPACE_RAW: "raw",
}


def answer_wishes(options: inspection_service_pb2.AnswerOptions) -> Wishes:
    """Return what is asked of verdicts' evidence.

    Raises
    ------
    RequestError
        If an option is outside its bounds; the path of its field is named.
    """
    if not (
        options.HasField("search")
        or options.omit_neighbours
        or options.omit_anchors
        or options.omit_residuals
        or options.await_record
    ):
        return AS_USUAL
    found = read_options(options.search, "options.search")
    return Wishes(
        options=AS_CALIBRATED if options.omit_neighbours else found,
        omit_neighbours=options.omit_neighbours,
        omit_anchors=options.omit_anchors,
        omit_residuals=options.omit_residuals,
        await_record=options.await_record,
    )


def search_wishes(request: inspection_service_pb2.SearchNeighboursRequest) -> Wishes:
    """Return what is asked of a search; errors as ``answer_wishes``."""
    if not (request.HasField("where") or request.HasField("options")):
        return AS_USUAL
    return Wishes(
        where=read_filter(request.where, "where") if request.HasField("where") else None,
        options=read_options(request.options, "options"),
    )


def read_options(message: search_options_pb2.SearchOptions, field: str) -> SearchOptions:
    """Return the options in a message; ``field`` is its path in the request.

    Raises
    ------
    RequestError
        If one is outside its bounds.
    """
    if not message.ByteSize():
        return AS_CALIBRATED
    if message.space not in SPACES:
        known = ", ".join(search_options_pb2.Space.keys())
        raise RequestError(field=f"{field}.space", problem=f"{message.space}, expected one of {known}")
    mix = message.mix
    try:
        return SearchOptions(
            p_eta=message.p_eta if message.HasField("p_eta") else None,
            p_gamma=message.p_gamma if message.HasField("p_gamma") else None,
            space=SPACES[message.space],
            mix=MatchMix(
                scale_weight=mix.scale_weight,
                deviation_weight=mix.deviation_weight,
                spread_weight=mix.spread_weight,
                bias=mix.bias,
            )
            if message.HasField("mix")
            else None,
            n_candidates=message.n_candidates if message.HasField("n_candidates") else None,
            exhaustive=message.exhaustive,
        )
    except SearchOptionsError as error:
        raise RequestError(field=f"{field}.{error.option}", problem=error.problem) from error


def read_filter(message: filter_pb2.Filter, field: str, depth: int = 1) -> Filter:
    """Return the filter in a message; ``field`` is its path in the request.

    Raises
    ------
    RequestError
        If it is nested too deep, holds too much or nothing, or a value cannot be what it should.
    """
    if depth > LARGEST_DEPTH:
        raise RequestError(field=field, problem=f"filters in each other deeper than {LARGEST_DEPTH}")
    condition = message.WhichOneof("condition")
    if condition is None:
        raise RequestError(field=field, problem="no condition, expected exactly one")
    inner = f"{field}.{condition}"
    try:
        if condition == "negated":
            return Not(read_filter(message.negated, inner, depth + 1))
        if condition in ("all_of", "any_of"):
            listed = message.all_of if condition == "all_of" else message.any_of
            return (AllOf if condition == "all_of" else AnyOf)(_read_list(listed, inner, depth))
        return _read_condition(message, condition)
    except FilterError as error:
        raise RequestError(field=inner, problem=str(error)) from error


def _read_list(message: filter_pb2.FilterList, field: str, depth: int) -> tuple[Filter, ...]:
    return tuple(read_filter(one, f"{field}.filters[{place}]", depth + 1) for place, one in enumerate(message.filters))


def _read_condition(message: filter_pb2.Filter, condition: str) -> Filter:
    if condition == "labels":
        return LabelIn(tuple(message.labels.labels))
    if condition == "inspected":
        interval = message.inspected
        return InspectedBetween(
            since=_read_time(interval.since) if interval.HasField("since") else None,
            until=_read_time(interval.until) if interval.HasField("until") else None,
        )
    return TEXT_CONDITIONS[condition](tuple(getattr(message, condition).texts))


def _read_time(message: Timestamp) -> datetime:
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise FilterError(str(error)) from error
