"""How both clients connect."""

from __future__ import annotations

from typing import Any

DEFAULT_TIMEOUT_S = 30.0
"""Deadline of a call, and longest wait for the next answer of a stream, in seconds."""

DEFAULT_WINDOW = 256
"""Vectors that a stream may be ahead of its answers: four full messages, enough to keep a server busy."""

DEFAULT_VECTORS_PER_MESSAGE = 64
"""Most vectors in a message of a stream: from here on the cost of a message no longer shows."""

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A batch of a few thousand answers with their evidence; gRPC's own limit is 4 MiB.
    ("grpc.max_receive_message_length", 64 << 20),
    # gRPC servers that say nothing else close connections that ping more often than every five minutes.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # gRPC's own retries leave a stream hanging for good, past any cancelling, in one of a hundred connections that fail
    # while it starts (grpcio 1.85.1); and they would hide from the caller what was sent twice.
    ("grpc.enable_retries", 0),
    # A server stands in the same network; a proxy for the web must not come between, least of all on the loopback.
    ("grpc.enable_http_proxy", 0),
    # A connection of its own: clients of one process share connections by address otherwise, and with them the waiting
    # time after a failure, so that a new client is told of a server that was gone before this one came.
    ("grpc.use_local_subchannel_pool", 1),
)
"""Options of every channel."""
