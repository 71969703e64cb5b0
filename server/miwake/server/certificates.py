"""The server's certificate: checked at the start, and read again for each connection where its files have changed."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any

import grpc
import structlog

from miwake.server.errors import CredentialsError

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.server.settings import Settings

log = structlog.get_logger()


def server_credentials(settings: Settings) -> Any:
    """Return what gRPC needs to speak TLS, None where no certificate is set.

    Raises
    ------
    CredentialsError
        If one of the files is missing beside another, cannot be read, or the key is not the certificate's.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        for given, missing in _INCOMPLETE:
            if getattr(settings, given) is not None and getattr(settings, missing) is None:
                message = f"--{given.replace('_', '-')} needs --{missing.replace('_', '-')}"
                raise CredentialsError(message)
        return None
    files = _Files(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    return grpc.dynamic_ssl_server_credentials(
        files.configuration, files.changed, require_client_authentication=settings.tls_client_ca is not None
    )


_INCOMPLETE = (
    ("tls_certificate", "tls_key"),
    ("tls_key", "tls_certificate"),
    ("tls_client_ca", "tls_certificate"),
)


class _Files:
    """The files that make up the server's side of TLS."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._lock = threading.Lock()
        self._state = self._states()
        self.configuration = self._read()

    def changed(self) -> Any:
        """Return the configuration from now on, None where nothing has changed; called for each connection."""
        with self._lock:
            states = self._states()
            if states == self._state:
                return None
            self._state = states
            try:
                configuration = self._read()
            except CredentialsError as error:
                # Perhaps only one of the two has been replaced so far; the next connection looks again.
                log.error("certificate_refused", error=str(error))  # noqa: TRY400 - the text names the file
                return None
            log.info("certificate_taken_over", certificate=str(self._certificate))
            return configuration

    def _read(self) -> Any:
        _check_pair(self._certificate, self._key)
        client_ca = None
        if self._client_ca is not None:
            _check_authorities(self._client_ca)
            client_ca = _bytes(self._client_ca)
        pair = (_bytes(self._key), _bytes(self._certificate))
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca)

    def _states(self) -> object:
        paths = [path for path in (self._certificate, self._key, self._client_ca) if path is not None]
        try:
            return [(found.st_ino, found.st_size, found.st_mtime_ns) for found in (path.stat() for path in paths)]
        except OSError:
            return None


def _check_pair(certificate: Path, key: Path) -> None:
    _bytes(certificate)
    _bytes(key)
    try:
        # A password would be asked for at a terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        message = f"{certificate} and {key}: not a certificate and its unencrypted key, in PEM: {error}"
        raise CredentialsError(message) from None


def _check_authorities(path: Path) -> None:
    _bytes(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        message = f"{path}: no certificates in PEM: {error}"
        raise CredentialsError(message) from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise CredentialsError(message) from None
