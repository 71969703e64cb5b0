"""A request that the client encodes itself is the one that protobuf would write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from miwake.client.packed_vectors import PackedVector
from miwake.client.vector_calls import VectorsRequest
from miwake.inspection.v1 import inspection_service_pb2, vector_pb2

if TYPE_CHECKING:
    from miwake.client.vector_calls import Message

CONTEXTS = st.none() | st.builds(vector_pb2.InspectionContext, part_id=st.text(max_size=3))
LENGTHS = st.sampled_from([0, 1, 4, 123, 124, 127, 128, 5616, 16_383, 16_384])
REQUESTS = st.sampled_from(
    [
        inspection_service_pb2.InspectRequest(station="s", stream_id="me", first_sequence=0),
        inspection_service_pb2.ClassifyRequest(station="s", context=vector_pb2.InspectionContext(job_id="j")),
        inspection_service_pb2.SearchNeighboursRequest(n_neighbours=4, as_arrays=True),
    ]
)


@st.composite
def vectors(draw: st.DrawFn) -> PackedVector:
    data = bytes(draw(st.integers(0, 255)) for _ in range(4))
    packed, template = (data * (draw(LENGTHS) // 4 + 1) for _ in range(2))
    return PackedVector(
        packed[: draw(LENGTHS)],
        draw(st.sampled_from(vector_pb2.DataType.values())),
        draw(st.just("") | st.text(max_size=3)),
        draw(CONTEXTS),
        draw(st.sampled_from([b"", template])),
    )


@given(REQUESTS, st.lists(vectors(), max_size=4))
def test_a_request_is_encoded_as_protobuf_does(message: Message, packed: list[PackedVector]) -> None:
    plain = type(message).FromString(message.SerializeToString())
    plain.vectors.extend(one.message for one in packed)

    encoded = VectorsRequest(message, packed).encoded()

    assert type(message).FromString(encoded) == plain
    assert len(encoded) == plain.ByteSize()
