from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from miwake.server.access import Access, Tokens, read_tokens
from miwake.server.errors import CredentialsError, UnauthenticatedError

LINE_3 = "3" * 32
ANNA = "a" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# who is who\n\nline-3 {LINE_3}\n anna@example.org\t{ANNA} \n")
    return path


def test_each_token_stands_for_its_name(path: Path) -> None:
    tokens = Tokens(path)

    assert tokens.name_of(LINE_3) == "line-3"
    assert tokens.name_of(ANNA) == "anna@example.org"


@pytest.mark.parametrize("shown", ["", LINE_3[:-1], LINE_3 + "3", f"line-3 {LINE_3}", "\udcff" * 32])
def test_anything_else_stands_for_nobody(path: Path, shown: str) -> None:
    assert Tokens(path).name_of(shown) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no token in it"),
        ("# nobody\n", "no token in it"),
        (f"line-3 {LINE_3}\n{ANNA}\n", "line 2: expected 'NAME TOKEN'"),
        ("line-3 short\n", "line 1: expected 'NAME TOKEN', the token of at least 16 characters"),
        (f"line-3 {LINE_3} more\n", "line 1"),
        (f"li\u00f1e {LINE_3}\n", "line 1"),
    ],
)
def test_a_file_that_is_not_understood_is_named_with_its_line_and_no_token(path: Path, text: str, message: str) -> None:
    path.write_text(text, encoding="utf-8")

    with pytest.raises(CredentialsError, match=message) as caught:
        read_tokens(path)
    assert str(path) in str(caught.value)
    assert LINE_3 not in str(caught.value)
    assert ANNA not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="none: tokens cannot be read: No such file"):
        Tokens(tmp_path / "none")


def test_tokens_are_replaced_without_a_start(path: Path) -> None:
    tokens = Tokens(path)
    path.write_text(f"line-4 {'4' * 40}\n")

    with capture_logs() as events:
        found = [tokens.name_of("4" * 40), tokens.name_of(LINE_3)]

    assert found == ["line-4", None]
    assert [(event["event"], event["names"]) for event in events] == [("tokens_taken_over", ["line-4"])]


def test_a_file_that_is_bad_or_gone_leaves_the_tokens_as_they_were_and_is_told_once(path: Path) -> None:
    tokens = Tokens(path)
    path.write_text("nonsense\n")
    with capture_logs() as events:
        found = [tokens.name_of(LINE_3), tokens.name_of(LINE_3)]
    path.unlink()

    assert [*found, tokens.name_of(LINE_3)] == ["line-3"] * 3
    assert [event["event"] for event in events] == ["tokens_refused"]


def test_without_tokens_everyone_is_let_in() -> None:
    Access(None).check([])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_who_shows_a_token_is_let_in(path: Path, scheme: str) -> None:
    Access(Tokens(path)).check([("user-agent", "x"), ("authorization", f"{scheme} {ANNA}")])


@pytest.mark.parametrize(
    "metadata",
    [[], [("authorization", ANNA)], [("authorization", f"Basic {ANNA}")], [("authorization", "Bearer ")]],
)
def test_who_shows_none_is_told_what_is_expected(path: Path, metadata: list[tuple[str, str]]) -> None:
    with pytest.raises(UnauthenticatedError, match="expected metadata 'authorization: Bearer TOKEN'"):
        Access(Tokens(path)).check(metadata)


def test_who_shows_another_is_not_let_in(path: Path) -> None:
    with pytest.raises(UnauthenticatedError, match="not known here"):
        Access(Tokens(path)).check([("authorization", f"Bearer {'x' * 32}")])
