"""How both clients connect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from miwake.client.tls import check_token

if TYPE_CHECKING:
    from miwake.client.retry import Retry
    from miwake.client.tls import Tls

DEFAULT_TIMEOUT_S = 30.0
"""Deadline of a call, and longest wait for the next answer of a stream, in seconds."""

DEFAULT_WINDOW = 256
"""Vectors that a stream may be ahead of its answers: four full messages, enough to keep a server busy."""

DEFAULT_VECTORS_PER_MESSAGE = 64
"""Most vectors in a message of a stream: from here on the cost of a message no longer shows."""

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A batch of a few thousand answers with their evidence; gRPC's own limit is 4 MiB.
    ("grpc.max_receive_message_length", 64 << 20),
    # A dead connection is noticed within 20 s, in time to take its stream up again before the default timeout.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # gRPC's own retries leave a stream hanging for good, past any cancelling, in one of a hundred connections that fail
    # while it starts (grpcio 1.85.1); and they would hide from the caller what was sent twice.
    ("grpc.enable_retries", 0),
    # A server stands in the same network; a proxy for the web must not come between, least of all on the loopback.
    ("grpc.enable_http_proxy", 0),
    # A connection of its own: clients of one process share connections by address otherwise, and with them the waiting
    # time after a failure, so that a new client is told of a server that was gone before this one came.
    ("grpc.use_local_subchannel_pool", 1),
    # How long one attempt to connect may take; a host that is down does not even refuse.
    ("grpc.min_reconnect_backoff_ms", 5_000),
)
"""Options of every channel."""

LONGEST_RECONNECT_S = 1.0
"""gRPC's own waits between attempts to connect, which it makes by itself however often the client asks, would grow from
one second to two minutes; a server that is back must be found at once."""

KEPT_BYTES = 4 << 20
"""Some times the largest message that a stream sends."""

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a channel is opened with.

    Attributes
    ----------
    target : text
    credentials : grpc.ChannelCredentials or None
        None: plain text.
    options : pairs of text and value
        Of the channel.
    metadata : pairs of text
        Goes with every call: the token, where there is no TLS to carry it.
    """

    target: str
    credentials: grpc.ChannelCredentials | None
    options: tuple[tuple[str, Any], ...]
    metadata: Metadata

    @classmethod
    def of(cls, target: str, *, tls: Tls | None, token: str | None, retry: Retry | None) -> Connection:
        """Return how to connect to a target, and how often to try.

        Raises
        ------
        InvalidQueryError
            If a certificate cannot be read; if the token cannot be sent, or would go to another machine in plain text.
        """
        if token is not None:
            check_token(token, target, tls)
        options = CHANNEL_OPTIONS + _reconnecting(retry)
        if tls is None:
            metadata = () if token is None else (("authorization", f"Bearer {token}"),)
            return cls(target=target, credentials=None, options=options, metadata=metadata)
        credentials = tls.credentials()
        if token is not None:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        if tls.server_name is not None:
            options += (("grpc.ssl_target_name_override", tls.server_name),)
        return cls(target=target, credentials=credentials, options=options, metadata=())

    def open(self) -> grpc.Channel:
        """Open a blocking channel."""
        _keep_memory()
        if self.credentials is None:
            return grpc.insecure_channel(self.target, options=self.options)
        return grpc.secure_channel(self.target, self.credentials, options=self.options)

    def open_async(self) -> grpc.aio.Channel:
        """Open a channel for asyncio."""
        _keep_memory()
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.target, options=self.options)
        return grpc.aio.secure_channel(self.target, self.credentials, options=self.options)


def _keep_memory() -> None:
    """Let the C library keep what messages take, for the next ones.

    glibc gives large blocks back to the system when they are freed, until one that is larger still has been; until then
    each page of each message is asked for anew.
    """
    bytes(KEPT_BYTES)


def _reconnecting(retry: Retry | None) -> tuple[tuple[str, int], ...]:
    longest_s = LONGEST_RECONNECT_S if retry is None else min(LONGEST_RECONNECT_S, retry.longest_s)
    first_s = longest_s if retry is None else min(longest_s, retry.first_s)
    return (
        ("grpc.initial_reconnect_backoff_ms", max(1, round(1e3 * first_s))),
        ("grpc.max_reconnect_backoff_ms", max(1, round(1e3 * longest_s))),
    )
