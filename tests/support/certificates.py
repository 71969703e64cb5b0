"""Certificates for tests, each its own authority, made by the ``openssl`` of the machine."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

OPENSSL = shutil.which("openssl")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in PEM."""

    certificate: Path
    key: Path


def make_certificate(folder: Path, name: str) -> Certificate:
    """Make a self-signed certificate for 127.0.0.1, whose subject has a common name; skip where there is no openssl."""
    if OPENSSL is None:
        pytest.skip("no openssl on this machine, which makes the certificates")
    folder.mkdir(exist_ok=True)
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = [OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return made
