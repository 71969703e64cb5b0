"""Fields in protobuf's own encoding, a whole batch at once.

``message.field.extend(list)`` takes half a microsecond for fifteen floats, and merging encoded bytes as long for five
such fields; the encoding is https://protobuf.dev/programming-guides/encoding/. What is encoded here is as long in every
row of a batch, so that all rows are written side by side into one array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Part = bytes | NDArray[np.uint8]
    """Bytes that are the same in all rows, or (Q, n) of their own."""

LENGTH_DELIMITED = 2
"""The wire type of packed fields, and of messages in messages."""

FIXED_32 = 5
"""The wire type of a float that is not packed."""

BITS_IN_A_BYTE, GOES_ON = 7, 0x80
"""Of a number of varying length: each byte but the last says that there is another."""


def packed_floats(number: int, values: NDArray[np.float32]) -> list[Part]:
    """Return the encoding of a ``repeated float`` field of (Q, K) values, nothing for a K of 0."""
    return _packed(number, _bytes_of(values)) if values.shape[1] else []


def packed_labels(number: int, labels: NDArray[np.int32]) -> list[Part]:
    """Return the encoding of a ``repeated sint32`` field of (Q, K) labels, nothing for a K of 0.

    All of them take as many bytes as the longest one, which the encoding allows.
    """
    if not labels.size:
        return []
    codes = (labels << 1 ^ labels >> 31).astype(np.uint32)  # small for labels near 0, of either sign
    n_bytes = max(1, -(-int(codes.max()).bit_length() // BITS_IN_A_BYTE))
    pieces = [codes >> BITS_IN_A_BYTE * place & (GOES_ON - 1) | GOES_ON for place in range(n_bytes)]
    pieces[-1] ^= GOES_ON
    return _packed(number, np.stack(pieces, axis=2).astype(np.uint8).reshape(len(labels), -1))


def single_float(number: int, values: NDArray[np.float32]) -> list[Part]:
    """Return the encoding of a ``float`` field of (Q,) values that is set in every row."""
    return [_varint(number << 3 | FIXED_32), _bytes_of(values[:, None])]


def message(number: int, parts: Sequence[Part]) -> list[Part]:
    """Return the encoding of a field that holds a message with these parts."""
    return [_varint(number << 3 | LENGTH_DELIMITED) + _varint(sum(map(_width, parts))), *parts]


def rows_of(parts: Sequence[Part], n_rows: int) -> list[bytes]:
    r"""Return the bytes of each row.

    Examples
    --------
    >>> rows_of(packed_floats(4, np.array([[1.0], [2.0]], dtype=np.float32)), 2)
    [b'"\x04\x00\x00\x80?', b'"\x04\x00\x00\x00@']
    """
    size = sum(map(_width, parts))
    if not size:
        return [b""] * n_rows
    encoded = np.empty((n_rows, size), dtype=np.uint8)
    end = 0
    for part in parts:
        start, end = end, end + _width(part)
        encoded[:, start:end] = np.frombuffer(part, dtype=np.uint8) if isinstance(part, bytes) else part
    data = encoded.tobytes()
    return [data[start : start + size] for start in range(0, len(data), size)]


def plain_floats(fields: Mapping[int, NDArray[np.float32]]) -> list[bytes]:
    r"""Return, for each of Q messages, the encoding of its ``optional float`` fields, all of them set.

    Parameters
    ----------
    fields : mapping of field number to (Q,) float32
        At least one.

    Examples
    --------
    >>> plain_floats({4: np.array([1.0, 2.0], dtype=np.float32)})
    [b'%\x00\x00\x80?', b'%\x00\x00\x00@']
    """
    parts = [part for number, values in fields.items() for part in single_float(number, values)]
    return rows_of(parts, len(next(iter(fields.values()))))


def length_delimited(number: int, content: bytes) -> bytes:
    """Return the encoding of a field that holds a message, from the message's own."""
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(content)) + content


def _packed(number: int, content: NDArray[np.uint8]) -> list[Part]:
    return [_varint(number << 3 | LENGTH_DELIMITED) + _varint(content.shape[1]), content]


def _width(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part.shape[1]


def _bytes_of(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values, dtype="<f4").view(np.uint8)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= GOES_ON:
        encoded.append(number & (GOES_ON - 1) | GOES_ON)
        number >>= BITS_IN_A_BYTE
    encoded.append(number)
    return bytes(encoded)
