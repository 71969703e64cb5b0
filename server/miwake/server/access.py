"""Who may call: callers show a token, whose name then stands for them; health is open to everyone.

Whoever balances load or restarts servers asks for their health, and is seldom trusted with more.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_health.v1 import health

from miwake.server.errors import CredentialsError, UnauthenticatedError
from miwake.server.status import status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    Handler = grpc.RpcMethodHandler[Any, Any]

log = structlog.get_logger()

KEY = "authorization"
SCHEME = "bearer"

OPEN_TO_ALL = (f"/{health.SERVICE_NAME}/",)

LEAST_LENGTH = 16
"""Characters of a token; `openssl rand -hex 32` makes one of 64."""

LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._@-]{0,63})\s+(?P<token>[!-~]+)")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept: its digest, so that all are compared in the same time.

    Attributes
    ----------
    name : text
        Whom it stands for.
    digest : bytes
        SHA-256 of the token.
    """

    name: str
    digest: bytes


class Tokens:
    """The tokens in a file, read again whenever it has changed.

    Parameters
    ----------
    path : Path

    Raises
    ------
    CredentialsError
        If the file cannot be read or a line of it not be understood, naming the line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state = _state(path)
        self._tokens = read_tokens(path)

    def name_of(self, shown: str) -> str | None:
        """Return whom a token stands for; None where it is none of these."""
        self._refresh()
        digest = _digest(shown)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token.name
        return found

    def _refresh(self) -> None:
        """Read a file that has changed; keep what was in it where it cannot be read now."""
        with self._lock:
            state = _state(self._path)
            if state == self._state:
                return
            self._state = state
            try:
                self._tokens = read_tokens(self._path)
            except CredentialsError as error:
                log.error("tokens_refused", error=str(error))  # noqa: TRY400 - the text names the line
            else:
                log.info("tokens_taken_over", names=[token.name for token in self._tokens])


def read_tokens(path: Path) -> Sequence[Token]:
    """Return the tokens of a file: a line each, ``name token``; empty lines and those that begin with ``#`` are none.

    Raises
    ------
    CredentialsError
        If it cannot be read, a line is not understood, or there is no token in it. No message holds a token.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: tokens cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        raise CredentialsError(message) from None
    wanted = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    tokens = [_token(path, number, line) for number, line in wanted if line and not line.startswith("#")]
    if not tokens:
        message = f"{path}: no token in it, expected lines such as 'line-3 TOKEN'"
        raise CredentialsError(message)
    return tokens


def _token(path: Path, number: int, line: str) -> Token:
    found = LINE.fullmatch(line)
    if found is None or len(found["token"]) < LEAST_LENGTH:
        message = f"{path}: line {number}: expected 'NAME TOKEN', the token of at least {LEAST_LENGTH} characters"
        raise CredentialsError(message)
    return Token(found["name"], _digest(found["token"]))


class Access:
    """Which callers are let in, and who they are.

    Parameters
    ----------
    tokens : Tokens or None
        None where callers need none.
    """

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Let a call in.

        Raises
        ------
        UnauthenticatedError
            If it shows no token, or none that is known.
        """
        if self._tokens is None:
            return
        shown = _shown(metadata)
        if not shown:
            message = "no token was shown, expected metadata 'authorization: Bearer TOKEN'"
            raise UnauthenticatedError(message)
        if self._tokens.name_of(shown) is None:
            message = "the token shown is not known here"
            raise UnauthenticatedError(message)

    def name_of(self, context: grpc.ServicerContext) -> str:
        """Return who calls: by its token, else by its certificate; empty where it has shown neither."""
        shown = _shown(context.invocation_metadata())
        if self._tokens is not None and shown:
            return self._tokens.name_of(shown) or ""
        names: Any = context.auth_context().get("x509_common_name")  # several bytes, whatever its stubs say
        return names[0].decode(errors="replace") if names else ""

    def actor_of(self, context: grpc.ServicerContext, said: str) -> str:
        """Return who is named in the history: who proved to be whom, with what the caller says beside it.

        Parameters
        ----------
        context : ServicerContext
        said : text
            Who the caller says that it is; may be empty.
        """
        proven = self.name_of(context)
        if proven:
            return f"{proven} ({said})" if said and said != proven else proven
        return said or str(context.peer())


class AccessInterceptor(grpc.ServerInterceptor):
    """Refuses calls that show no good token; the outermost interceptor."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the method's handler, or one that refuses."""
        if not handler_call_details.method.startswith(OPEN_TO_ALL):
            try:
                self._access.check(handler_call_details.invocation_metadata)
            except UnauthenticatedError as error:
                return refusing(error)
        return continuation(handler_call_details)


def refusing(error: Exception) -> Handler:
    """Return a handler that ends any call, of whatever method, with an error's status."""

    def refuse(_: object, context: grpc.ServicerContext) -> Any:
        context.abort_with_status(status_of(error))

    return grpc.stream_stream_rpc_method_handler(refuse)


def _shown(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the token that a call shows, empty where it shows none."""
    for key, value in metadata:
        if key == KEY and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            return token.strip() if scheme.lower() == SCHEME else ""
    return ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).digest()


def _state(path: Path) -> object:
    """Return what changes whenever the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
