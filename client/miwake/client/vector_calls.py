"""Calls that send vectors: their requests go out in protobuf's own encoding, a packed vector is copied once more.

A message of protobuf copies the values of a vector into itself, again into the request, and again into what it is
serialised to. The encoding is https://protobuf.dev/programming-guides/encoding/: fields one after another, in any
order, those of a repeated field too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from miwake.inspection.v1 import inspection_service_pb2 as messages
from miwake.inspection.v1 import vector_pb2
from miwake.inspection.v1.inspection_service_pb2_grpc import InspectionServiceStub

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc
    import grpc.aio

    from miwake.client.packed_vectors import PackedVector

    Message = messages.InspectRequest | messages.ClassifyRequest | messages.SearchNeighboursRequest

LENGTH_DELIMITED = 2
"""The wire type of bytes and of messages in messages."""

VECTORS = messages.InspectRequest.VECTORS_FIELD_NUMBER
"""The same in every request that carries vectors."""

SERVICE = messages.DESCRIPTOR.services_by_name["InspectionService"].full_name


@dataclass(frozen=True, slots=True)
class VectorsRequest:
    """A request, and the vectors that it carries, which are not in its message."""

    message: Message
    vectors: Sequence[PackedVector]

    def encoded(self) -> bytes:
        """Return the whole request, serialised."""
        parts = [self.message.SerializeToString()]
        for one in self.vectors:
            if one.id or one.context is not None or one.template:
                encoded = one.message.SerializeToString()
                parts += (_head(VECTORS, len(encoded)), encoded)
            else:
                parts += (_head_of_values(one.data_type, len(one.packed)), one.packed)
        return b"".join(parts)


class VectorCalls:
    """The calls of ``InspectionService``; those whose requests carry vectors take a ``VectorsRequest``.

    Parameters
    ----------
    channel : grpc.Channel or grpc.aio.Channel
        The calls are blocking or for asyncio as it is.
    """

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        opened: Any = channel  # both kinds have the same methods, with types of their own
        self.inspect: Any = opened.stream_stream(*_method("Inspect"), messages.InspectResponse.FromString)
        self.classify: Any = opened.unary_unary(*_method("Classify"), messages.ClassifyResponse.FromString)
        self.search_neighbours: Any = opened.unary_unary(
            *_method("SearchNeighbours"), messages.SearchNeighboursResponse.FromString
        )
        self.verify: Any = InspectionServiceStub(opened).Verify


def _method(name: str) -> tuple[str, Any]:
    """Return a method's path, and what serialises its requests."""
    return f"/{SERVICE}/{name}", VectorsRequest.encoded


@lru_cache(maxsize=64)
def _head_of_values(data_type: vector_pb2.DataType.ValueType, n_bytes: int) -> bytes:
    """Return what comes before the values of a vector that has nothing else."""
    kind = vector_pb2.InspectionVector(data_type=data_type).SerializeToString()
    inner = kind + _head(vector_pb2.InspectionVector.PACKED_FIELD_NUMBER, n_bytes)
    return _head(VECTORS, len(inner) + n_bytes) + inner


def _head(field: int, n_bytes: int) -> bytes:
    """Return what comes before the content of a field."""
    return _varint(field << 3 | LENGTH_DELIMITED) + _varint(n_bytes)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
