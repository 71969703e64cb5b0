"""A value for each of the server's settings, none of them the default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Sample:
    """What a setting is set to.

    Attributes
    ----------
    value : text, number, bool or list of text
        As in JSON and TOML.
    flags : sequence of text
        As on the command line.
    """

    value: str | float | bool | list[str]
    flags: tuple[str, ...]

    @property
    def text(self) -> str:
        """As in the environment."""
        return ",".join(self.value) if isinstance(self.value, list) else str(self.value)


SAMPLES: Mapping[str, Sample] = {
    "stations": Sample(["a", "b"], ("--station", "a", "--station", "b")),
    **{
        name: Sample(value, (f"--{name.replace('_', '-')}", str(value)))
        for name, value in cast(
            "dict[str, str | float]",
            {
                "store": "a-store",
                "address": "nowhere.example",
                "port": 1234,
                "workers": 2,
                "tls_certificate": "certificate.pem",
                "tls_key": "key.pem",
                "tls_client_ca": "authority.pem",
                "token_file": "tokens",
                "metrics_port": 2345,
                "metrics_address": "127.0.0.3",
                "verdict_log": "a-log",
                "verdict_log_bytes": 33554432,
                "max_batch": 64,
                "queue_limit": 100,
                "max_streams": 10,
                "max_calls": 11,
                "stream_window": 12,
                "resume_s": 5.5,
                "parked_bytes": 1048576,
                "max_neighbours": 13,
                "max_vectors": 14,
                "max_message_bytes": 2097152,
                "max_metadata_bytes": 4096,
                "drain_timeout_s": 1.5,
                "poll_s": 2.5,
                "keepalive_s": 3.5,
                "ping_timeout_s": 4.5,
            },
        ).items()
    },
}
"""By setting."""
