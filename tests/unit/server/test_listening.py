from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from miwake.server.errors import AddressError
from miwake.server.listening import listened_host, metrics_host
from miwake.server.settings import Settings

TLS = {"tls_certificate": Path("c"), "tls_key": Path("k")}


def settings(address: str, **others: Any) -> Settings:
    return Settings(store=Path("store"), address=address, **others)


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.9", "127.0.0.9"), ("localhost", "127.0.0.1"), ("::1", "[::1]")],
)
def test_loopback_addresses_are_listened_on(address: str, host: str) -> None:
    assert listened_host(settings(address)) == host


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.20", "::", "2001:db8::1", "::ffff:10.0.0.1"])  # noqa: S104
def test_other_addresses_need_tls_and_credentials(address: str) -> None:
    with pytest.raises(AddressError, match=r"needs TLS \(.*\) and credentials \(.*\)"):
        listened_host(settings(address))


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (TLS, r"needs credentials \(--token-file, or --tls-client-ca for client certificates\)"),
        ({"token_file": Path("t")}, r"needs TLS \(--tls-certificate and --tls-key\)"),
        ({"tls_client_ca": Path("a")}, r"needs TLS \(--tls-certificate and --tls-key\)"),
    ],
)
def test_what_is_missing_beyond_the_loopback_is_named(given: dict[str, Any], missing: str) -> None:
    with pytest.raises(AddressError, match=f"^192.168.1.20: not a loopback address, which {missing}$"):
        listened_host(settings("192.168.1.20", **given))


@pytest.mark.parametrize("credentials", [{"token_file": Path("t")}, {"tls_client_ca": Path("a")}])
def test_any_address_will_do_with_tls_and_credentials(credentials: dict[str, Any]) -> None:
    assert listened_host(settings("192.168.1.20", **TLS, **credentials)) == "192.168.1.20"


@pytest.mark.parametrize("address", ["", "example.org", "127.0.0.1:80"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AddressError, match="expected an IP address such as"):
        listened_host(settings(address))


@pytest.mark.parametrize(
    ("address", "wanted", "host"),
    [
        ("127.0.0.9", None, "127.0.0.9"),
        ("::1", None, "::1"),
        ("192.168.1.20", None, "127.0.0.1"),
        ("127.0.0.1", "192.168.1.20", "192.168.1.20"),
    ],
)
def test_metrics_stay_on_the_loopback_unless_said_otherwise(address: str, wanted: str | None, host: str) -> None:
    assert metrics_host(settings(address, metrics_address=wanted)) == host
