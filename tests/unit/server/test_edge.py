from __future__ import annotations

import pytest

from miwake.server.edge import loopback
from miwake.server.errors import AddressError


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.9", "127.0.0.9"), ("localhost", "127.0.0.1"), ("::1", "[::1]")],
)
def test_loopback_addresses_are_listened_on(address: str, host: str) -> None:
    assert loopback(address) == host


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.20", "::", "2001:db8::1", "::ffff:10.0.0.1"])  # noqa: S104
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(AddressError, match="expected a loopback address; others need TLS and credentials"):
        loopback(address)


@pytest.mark.parametrize("address", ["", "example.org", "127.0.0.1:80"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AddressError, match="expected an IP address such as"):
        loopback(address)
