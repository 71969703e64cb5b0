"""TLS and tokens, as a caller meets them over a real socket."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc

from miwake.inspection.v1 import (
    inspection_service_pb2,
    inspection_service_pb2_grpc,
    reference_service_pb2,
    reference_service_pb2_grpc,
)
from support.certificates import Certificate, make_certificate
from support.serving import ServerProcess, SmallStation, detail, packed, running_server

TIMEOUT_S = 60.0
TOKEN = "t" * 32
OTHER_TOKEN = "o" * 32


@dataclass(frozen=True)
class Guarded:
    """A server that asks for TLS and a token, on every interface of this machine."""

    server: ServerProcess
    certificate: Certificate
    tokens: Path

    def connect(self, *, root: bytes | None = None, client: Certificate | None = None) -> grpc.Channel:
        root = self.certificate.certificate.read_bytes() if root is None else root
        pair = (client.key.read_bytes(), client.certificate.read_bytes()) if client else (None, None)
        port = self.server.address.rpartition(":")[2]
        return grpc.secure_channel(
            f"127.0.0.1:{port}",
            grpc.ssl_channel_credentials(root, *pair),
            options=[("grpc.use_local_subchannel_pool", 1)],
        )


@pytest.fixture(scope="module")
def guarded(small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    shutil.copytree(small_station.store, folder / "store")
    certificate = make_certificate(folder / "server", "server")
    tokens = folder / "tokens"
    tokens.write_text(f"line-3 {TOKEN}\n")
    flags = ["--address", "0.0.0.0", "--tls-certificate", str(certificate.certificate)]  # noqa: S104
    flags += ["--tls-key", str(certificate.key), "--token-file", str(tokens)]
    with running_server(folder / "store", folder / "log", *flags) as running:
        yield Guarded(running, certificate, tokens)


def bearer(token: str) -> tuple[tuple[str, str | bytes], ...]:
    return (("authorization", f"Bearer {token}"),)


def classify(channel: grpc.Channel, small_station: SmallStation, token: str) -> int:
    stub = inspection_service_pb2_grpc.InspectionServiceStub(channel)
    request = inspection_service_pb2.ClassifyRequest(vectors=packed(small_station.queries[:2]))
    return len(stub.Classify(request, metadata=bearer(token), timeout=TIMEOUT_S).answers)


def addition(small_station: SmallStation, name: str, actor: str) -> reference_service_pb2.AddReferencesRequest:
    request = reference_service_pb2.AddReferencesRequest(actor=actor)
    [vector] = packed(small_station.queries[:1])
    vector.id = name
    request.references.add(vector=vector, label=0, failure_mode="pass")
    return request


def history(channel: grpc.Channel, small_station: SmallStation, name: str, said: str, token: str) -> list[str]:
    """Add a reference, and return who its history says did."""
    stub = reference_service_pb2_grpc.ReferenceServiceStub(channel)
    stub.AddReferences(addition(small_station, name, said), metadata=bearer(token), timeout=TIMEOUT_S)
    request = reference_service_pb2.GetReferenceRequest(id=name)
    return [one.actor for one in stub.GetReference(request, metadata=bearer(token), timeout=TIMEOUT_S).history]


def test_who_shows_the_token_is_answered(guarded: Guarded, small_station: SmallStation) -> None:
    with guarded.connect() as channel:
        assert classify(channel, small_station, TOKEN) == 2


@pytest.mark.parametrize(
    "method",
    [
        "/miwake.inspection.v1.InspectionService/Inspect",
        "/miwake.inspection.v1.InspectionService/Classify",
        "/miwake.inspection.v1.ReferenceService/AddReferences",
        "/miwake.inspection.v1.IndexService/WatchOperation",
        "/inference.GRPCInferenceService/ServerLive",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/no.such.Service/AtAll",
    ],
)
def test_nobody_is_told_anything_without_a_token(guarded: Guarded, method: str) -> None:
    with guarded.connect() as channel:
        call = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b""]), timeout=TIMEOUT_S))

    info = detail(caught.value, error_details_pb2.ErrorInfo)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert caught.value.details() == "no token was shown, expected metadata 'authorization: Bearer TOKEN'"
    assert (info.reason, info.domain) == ("UNAUTHENTICATED", "miwake")


def test_health_is_open(guarded: Guarded) -> None:
    with guarded.connect() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_history_names_who_proved_to_be_whom(guarded: Guarded, small_station: SmallStation) -> None:
    with guarded.connect() as channel:
        assert history(channel, small_station, "a", "", TOKEN) == ["line-3"]
        assert history(channel, small_station, "b", "anna", TOKEN) == ["line-3 (anna)"]


def test_tokens_are_rotated_without_a_restart(guarded: Guarded, small_station: SmallStation) -> None:
    with guarded.connect() as channel:
        guarded.tokens.write_text(f"line-3 {OTHER_TOKEN}\n")
        n_answers = classify(channel, small_station, OTHER_TOKEN)
        with pytest.raises(grpc.RpcError) as caught:
            classify(channel, small_station, TOKEN)
    guarded.tokens.write_text(f"line-3 {TOKEN}\n")

    assert n_answers == 2
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert caught.value.details() == "the token shown is not known here"


def test_who_does_not_speak_tls_is_not_heard(guarded: Guarded, small_station: SmallStation) -> None:
    port = guarded.server.address.rpartition(":")[2]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
        classify(channel, small_station, TOKEN)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_new_certificate_is_shown_from_the_next_connection_on(
    guarded: Guarded, small_station: SmallStation, tmp_path: Path
) -> None:
    before = guarded.certificate.certificate.read_bytes()
    renewed = make_certificate(tmp_path / "renewed", "server")
    with guarded.connect() as old:
        assert classify(old, small_station, TOKEN) == 2
        # One after the other, as they come: between the two there is no pair, and the old one is shown.
        shutil.copyfile(renewed.certificate, guarded.certificate.certificate)
        with guarded.connect(root=before) as meanwhile:
            n_meanwhile = classify(meanwhile, small_station, TOKEN)
        shutil.copyfile(renewed.key, guarded.certificate.key)
        with guarded.connect() as new:
            n_new = classify(new, small_station, TOKEN)
        n_old = classify(old, small_station, TOKEN)

    assert (n_meanwhile, n_new, n_old) == (2, 2, 2)
    assert len(guarded.server.events("certificate_refused")) == 1
    assert len(guarded.server.events("certificate_taken_over")) == 1


def test_client_certificates_are_credentials_too(small_station: SmallStation, tmp_path: Path) -> None:
    shutil.copytree(small_station.store, tmp_path / "store")
    certificate = make_certificate(tmp_path / "server", "server")
    client = make_certificate(tmp_path / "client", "line-7")
    flags = ["--address", "0.0.0.0", "--tls-certificate", str(certificate.certificate)]  # noqa: S104
    flags += ["--tls-key", str(certificate.key), "--tls-client-ca", str(client.certificate)]
    with running_server(tmp_path / "store", tmp_path / "log", *flags) as running:
        guarded = Guarded(running, certificate, tmp_path)
        with guarded.connect(client=client) as channel:
            actors = history(channel, small_station, "a", "", "")
        with guarded.connect() as channel, pytest.raises(grpc.RpcError) as caught:
            classify(channel, small_station, "")

    assert actors == ["line-7"]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
