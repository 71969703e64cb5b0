from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from google.rpc import status_pb2  # type: ignore[import-untyped]

from miwake.client.errors import AccessError, DrainingError, ErrorDetails, read_details

if TYPE_CHECKING:
    import pytest


def test_an_error_of_the_system_keeps_its_message_and_details() -> None:
    error = AccessError("bad token", details=ErrorDetails(reason="EXPIRED"))

    assert str(error) == "bad token"
    assert error.details.reason == "EXPIRED"


def test_a_draining_error_says_how_far_it_came() -> None:
    error = DrainingError(n_accepted=3, n_taken=5)

    assert str(error) == "the server is stopping: it accepted and answered 3 vectors, 5 had been taken so far"


def test_trailers_without_details_are_no_details() -> None:
    assert read_details([("x-trace", "1")]) == ErrorDetails()


def test_details_are_done_without_where_nothing_installed_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    trailer = status_pb2.Status(code=3, message="m").SerializeToString()
    real_import = builtins.__import__

    def base_install(name: str, *rest: Any) -> Any:
        if name.startswith("google.rpc"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", base_install)

    assert read_details([("grpc-status-details-bin", trailer)]) == ErrorDetails()
