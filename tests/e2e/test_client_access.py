"""TLS and tokens of both clients and of the command, against a real server that asks for them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from miwake.client import AccessError, AsyncClient, Client, Retry, Tls, UnavailableError
from support.certificates import make_certificate
from support.clients import KINDS, error_of
from support.serving import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from support.serving import SmallStation

TOKEN = "0123456789abcdef" * 2
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Guarded:
    """A server that asks for TLS and a token."""

    address: str
    certificate: Path
    token_file: Path

    @property
    def tls(self) -> Tls:
        return Tls(root_certificates=self.certificate)


@pytest.fixture(scope="module")
def guarded(small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded_client")
    made = make_certificate(folder / "certificate", "server")
    (folder / "tokens").write_text(f"line-3 {TOKEN}\n")
    (folder / "token").write_text(f"{TOKEN}\n")
    flags = ["--tls-certificate", str(made.certificate), "--tls-key", str(made.key)]
    with running_server(small_station.store, folder / "log", *flags, "--token-file", str(folder / "tokens")) as server:
        yield Guarded(server.address, made.certificate, folder / "token")


def n_verdicts(kind: str, target: str, vectors: NDArray[np.float32], **options: Any) -> tuple[int, int]:
    """Return how many verdicts a batch and a stream came to."""
    if kind == "blocking":
        with Client(target, **options) as client:
            streamed = [answer.verdict is not None for answer in client.inspect(vectors)]
            return len(client.classify(vectors)), sum(streamed)

    async def call() -> tuple[int, int]:
        async with AsyncClient(target, **options) as client:
            streamed = [answer.verdict is not None async for answer in client.inspect(vectors)]
            return len(await client.classify(vectors)), sum(streamed)

    return asyncio.run(call())


@pytest.mark.parametrize("kind", KINDS)
def test_who_trusts_the_server_and_shows_the_token_is_answered(
    kind: str, guarded: Guarded, small_station: SmallStation
) -> None:
    found = n_verdicts(kind, guarded.address, small_station.queries[:5], tls=guarded.tls, token=TOKEN)

    assert found == (5, 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("token", [None, "f" * 32])
def test_another_token_or_none_is_an_access_error_at_once(
    kind: str, token: str | None, guarded: Guarded, small_station: SmallStation
) -> None:
    error = error_of(lambda: n_verdicts(kind, guarded.address, small_station.queries[:1], tls=guarded.tls, token=token))

    assert isinstance(error, AccessError)
    assert isinstance(error, PermissionError)


def test_a_server_that_another_has_signed_is_not_spoken_to(
    guarded: Guarded, small_station: SmallStation, tmp_path: Path
) -> None:
    stranger = make_certificate(tmp_path / "stranger", "server")
    options: dict[str, Any] = {"tls": Tls(root_certificates=stranger.certificate), "token": TOKEN}

    error = error_of(
        lambda: n_verdicts(
            "blocking", guarded.address, small_station.queries[:1], **options, retry=Retry(within_s=0.2), timeout_s=1.0
        )
    )

    assert isinstance(error, UnavailableError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


def test_a_server_may_be_known_by_another_name_than_its_address(guarded: Guarded, small_station: SmallStation) -> None:
    port = guarded.address.rpartition(":")[2]
    tls = Tls(root_certificates=guarded.certificate, server_name="127.0.0.1")

    assert n_verdicts("blocking", f"localhost:{port}", small_station.queries[:1], tls=tls, token=TOKEN) == (1, 1)


@pytest.mark.parametrize("how", ["file", "variable"])
def test_every_command_takes_them_as_flags(
    how: str, guarded: Guarded, small_station: SmallStation, tmp_path: Path
) -> None:
    np.save(tmp_path / "parts.npy", small_station.queries[:3])
    flags = ["--target", guarded.address, "--tls-ca", str(guarded.certificate)]
    flags += ["--token-file", str(guarded.token_file)] if how == "file" else []
    ended = subprocess.run(  # noqa: S603 - our own program
        [str(Path(sys.executable).parent / "miwake-client"), "stream", str(tmp_path / "parts.npy"), *flags],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={"MIWAKE_TOKEN": TOKEN} if how == "variable" else {},
    )

    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 3)
