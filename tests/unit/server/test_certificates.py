from __future__ import annotations

from pathlib import Path

import pytest

from miwake.server.certificates import server_credentials
from miwake.server.errors import CredentialsError
from miwake.server.settings import Settings
from support.certificates import Certificate, make_certificate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("made"), "line-3")


def settings(**given: Path) -> Settings:
    return Settings(store=Path("store"), **given)  # type: ignore[arg-type]


def test_without_a_certificate_there_is_no_tls() -> None:
    assert server_credentials(settings()) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("tls_certificate", "^--tls-certificate needs --tls-key$"),
        ("tls_key", "^--tls-key needs --tls-certificate$"),
        ("tls_client_ca", "^--tls-client-ca needs --tls-certificate$"),
    ],
)
def test_one_file_without_its_other_is_refused(given: str, message: str) -> None:
    with pytest.raises(CredentialsError, match=message):
        server_credentials(settings(**{given: Path("x.pem")}))


def test_a_key_of_another_certificate_is_refused(made: Certificate, tmp_path: Path) -> None:
    other = make_certificate(tmp_path / "other", "line-4")

    with pytest.raises(CredentialsError, match="not a certificate and its unencrypted key"):
        server_credentials(settings(tls_certificate=made.certificate, tls_key=other.key))


def test_a_missing_file_is_named(made: Certificate, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"none\.pem: cannot be read: No such file"):
        server_credentials(settings(tls_certificate=made.certificate, tls_key=tmp_path / "none.pem"))


def test_authorities_that_are_no_certificates_are_refused(made: Certificate) -> None:
    with pytest.raises(CredentialsError, match=r"key\.pem: no certificates in PEM"):
        server_credentials(settings(tls_certificate=made.certificate, tls_key=made.key, tls_client_ca=made.key))
