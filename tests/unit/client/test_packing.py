from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from miwake.client.errors import InvalidQueryError
from miwake.client.flow import Batch
from miwake.client.inspections import InspectionContext
from miwake.client.packed_vectors import pack
from miwake.client.packing import checked_n_neighbours, inspect_header, inspect_request
from miwake.inspection.v1.inspection_service_pb2 import InspectRequest

VALUES = [0.0, 1.5, 200.0]


@pytest.mark.parametrize("n_neighbours", [0, -1, 1.5, True, "3"])
def test_a_number_of_neighbours_that_is_none_is_refused(n_neighbours: Any) -> None:
    with pytest.raises(InvalidQueryError, match=r"n_neighbours .*, expected an integer of at least 1"):
        checked_n_neighbours(n_neighbours)


def test_more_neighbours_than_the_field_holds_are_left_to_the_servers_limit() -> None:
    assert checked_n_neighbours(10**12) == 2**32 - 1
    assert checked_n_neighbours(None) is None


def test_messages_of_a_stream_repeat_what_they_have_in_common() -> None:
    header = inspect_header(station="s", context=InspectionContext(job_id="j"), n_neighbours=4)

    request = sent(header, batch(first_sequence=3, is_first=False), stream_id="me")

    assert request.station == "s"
    assert request.context.job_id == "j"
    assert request.options.n_neighbours == 4
    assert len(request.vectors) == 1
    assert len(header.vectors) == 0


@pytest.mark.parametrize(("is_first", "expected"), [(True, ("me", "g000007")), (False, ("", ""))])
def test_the_first_message_of_a_call_says_which_stream_and_generation(
    is_first: bool, expected: tuple[str, str]
) -> None:
    header = inspect_header(station="", context=None, n_neighbours=None, generation="g000007")

    request = sent(header, batch(first_sequence=3, is_first=is_first), stream_id="me")

    assert (request.stream_id, request.generation) == expected
    assert (request.first_sequence, request.n_received) == (3, 2)


def test_a_stream_that_cannot_be_taken_up_again_counts_nothing() -> None:
    header = inspect_header(station="", context=None, n_neighbours=None)

    request = sent(header, batch(first_sequence=0, is_first=True), stream_id="")

    assert request.stream_id == ""
    assert not request.HasField("first_sequence")
    assert not request.HasField("n_received")


def sent(header: InspectRequest, batch: Batch, *, stream_id: str) -> InspectRequest:
    return InspectRequest.FromString(inspect_request(header, batch, stream_id=stream_id).encoded())


def batch(*, first_sequence: int, is_first: bool) -> Batch:
    return Batch([pack(np.array(VALUES))], first_sequence, n_received=2, is_first=is_first)
