from __future__ import annotations

from pathlib import Path

import pytest

from miwake.client.channel import Connection
from miwake.client.errors import InvalidQueryError
from miwake.client.tls import Tls, is_loopback

PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:1",
        "127.8.8.8:1",
        "localhost:1",
        "[::1]:1",
        "dns:///localhost:1",
        "ipv4:127.0.0.1:1,127.0.0.2:1",
        "unix:/s",
    ],
)
def test_addresses_of_this_machine_are_known(target: str) -> None:
    assert is_loopback(target)


@pytest.mark.parametrize(
    "target",
    [
        "line-3:1",
        "10.0.0.1:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1",
        "dns:///line-3:1",
        "[fe80::1]:1",
        "127.0.0.1.evil.org:1",
        "",
    ],
)
def test_all_others_are_not(target: str) -> None:
    assert not is_loopback(target)


def test_a_token_in_plain_text_stays_on_this_machine() -> None:
    with pytest.raises(InvalidQueryError, match="line-3:1: a token goes to another machine over TLS only; give tls"):
        Connection.of("line-3:1", tls=None, token="secret", retry=None)  # noqa: S106

    connection = Connection.of("127.0.0.1:1", tls=None, token="secret", retry=None)  # noqa: S106
    assert connection.metadata == (("authorization", "Bearer secret"),)


@pytest.mark.parametrize("token", ["", "two words", "line\n", "schlüssel"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(InvalidQueryError, match="the token is empty or has other characters than visible ASCII"):
        Connection.of("127.0.0.1:1", tls=None, token=token, retry=None)


def test_certificates_may_be_given_as_bytes_or_as_files(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(PEM)

    assert Tls(root_certificates=PEM).credentials() is not None
    assert Tls(root_certificates=tmp_path / "ca.pem").credentials() is not None


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError, match=r"root certificates .*ca\.pem: No such file"):
        Tls(root_certificates=tmp_path / "ca.pem").credentials()
    with pytest.raises(InvalidQueryError, match="root certificates: expected PEM"):
        Tls(root_certificates=b"DER").credentials()


def test_a_certificate_comes_with_its_key() -> None:
    with pytest.raises(InvalidQueryError, match="a certificate without its private key"):
        Tls(certificate=PEM)
