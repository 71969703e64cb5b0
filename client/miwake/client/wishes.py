"""What a caller asks for beside its vectors, on the wire: filters, search options, and which evidence comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from miwake.client.errors import InvalidQueryError
from miwake.client.filters import (
    AllOf,
    AnyOf,
    FailureModeIn,
    Filter,
    GroupIn,
    InspectedBetween,
    LabelIn,
    Not,
    PartIn,
    SourceIn,
)
from miwake.inspection.v1 import filter_pb2, inspection_service_pb2, search_options_pb2

if TYPE_CHECKING:
    from datetime import datetime

    from miwake.client.options import Evidence, MatchMix, SearchOptions

SPACES = {
    None: search_options_pb2.SPACE_UNSPECIFIED,
    "embedding": search_options_pb2.SPACE_EMBEDDING,
    "raw": search_options_pb2.SPACE_RAW,
}


def pack_filter(where: Filter) -> filter_pb2.Filter:
    """Return a filter as a message.

    Raises
    ------
    InvalidQueryError
        If it is no filter, or one of its texts cannot be sent.
    """
    if not isinstance(where, Filter):
        message = f"where {where!r}, expected a filter such as LabelIn((11, 13))"
        raise InvalidQueryError(message)
    try:
        return _pack(where)
    except (TypeError, ValueError) as error:
        message = f"{where!r}: {error}"
        raise InvalidQueryError(message) from error


def _pack(where: Filter) -> filter_pb2.Filter:
    match where:
        case LabelIn(labels):
            return filter_pb2.Filter(labels=filter_pb2.FilterLabels(labels=labels))
        case FailureModeIn(texts):
            return filter_pb2.Filter(failure_modes=filter_pb2.FilterTexts(texts=texts))
        case PartIn(texts):
            return filter_pb2.Filter(parts=filter_pb2.FilterTexts(texts=texts))
        case GroupIn(texts):
            return filter_pb2.Filter(groups=filter_pb2.FilterTexts(texts=texts))
        case SourceIn(texts):
            return filter_pb2.Filter(sources=filter_pb2.FilterTexts(texts=texts))
        case _:
            return _pack_rest(where)


def _pack_rest(where: Filter) -> filter_pb2.Filter:
    match where:
        case InspectedBetween(since, until):
            interval = filter_pb2.FilterInterval(since=_pack_time(since), until=_pack_time(until))
            return filter_pb2.Filter(inspected=interval)
        case AllOf(filters):
            return filter_pb2.Filter(all_of=filter_pb2.FilterList(filters=map(_pack, filters)))
        case AnyOf(filters):
            return filter_pb2.Filter(any_of=filter_pb2.FilterList(filters=map(_pack, filters)))
        case Not(negated):
            return filter_pb2.Filter(negated=_pack(negated))
    message = f"{where!r}, expected a filter"
    raise TypeError(message)


def _pack_time(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def pack_options(options: SearchOptions) -> search_options_pb2.SearchOptions:
    """Return search options as a message."""
    return search_options_pb2.SearchOptions(
        p_eta=options.p_eta,
        p_gamma=options.p_gamma,
        space=SPACES[options.space],
        mix=None if options.mix is None else _pack_mix(options.mix),
        n_candidates=options.n_candidates,
        exhaustive=options.exhaustive,
    )


def _pack_mix(mix: MatchMix) -> search_options_pb2.MatchMix:
    return search_options_pb2.MatchMix(
        scale_weight=mix.scale_weight,
        deviation_weight=mix.deviation_weight,
        spread_weight=mix.spread_weight,
        bias=mix.bias,
    )


def pack_evidence(n_neighbours: int | None, evidence: Evidence | None) -> inspection_service_pb2.AnswerOptions:
    """Return what is asked of verdicts' evidence, with a number of neighbours that was checked, as a message."""
    message = inspection_service_pb2.AnswerOptions(n_neighbours=n_neighbours, as_arrays=True)
    if evidence is not None:
        message.omit_neighbours = not evidence.neighbours
        message.omit_anchors = not evidence.anchors
        message.omit_residuals = not evidence.residuals
        if evidence.search is not None:
            message.search.CopyFrom(pack_options(evidence.search))
        if evidence.answer_within_s is not None:
            message.answer_within.FromNanoseconds(round(1e9 * evidence.answer_within_s))
        message.await_record = evidence.await_record
    return message
