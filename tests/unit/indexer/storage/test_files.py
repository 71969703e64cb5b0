from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.storage.files import read_json, sha256_of, to_json, write_durably

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    name: str
    shape: tuple[int, int]
    note: str | None = None
    format_version: int = 3


CARD = Card(name="kratzer \u00e4", shape=(36, 39))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "card.json"


def test_a_file_holds_what_was_written(path: Path) -> None:
    write_durably(path, b"first")
    write_durably(path, b"second")

    assert path.read_bytes() == b"second"


def test_writing_leaves_nothing_beside_the_file(path: Path) -> None:
    write_durably(path, b"anything")

    assert list(path.parent.iterdir()) == [path]


def test_writing_that_fails_leaves_the_old_file_and_nothing_beside_it(path: Path) -> None:
    path.mkdir()

    with pytest.raises(IsADirectoryError):
        write_durably(path, b"anything")

    assert list(path.parent.iterdir()) == [path]


def test_the_hash_is_that_of_the_bytes(path: Path) -> None:
    path.write_bytes(b"anything")

    assert sha256_of(path) == hashlib.sha256(b"anything").hexdigest()


def test_a_missing_file_has_no_hash(path: Path) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"card\.json: cannot be read: No such file"):
        sha256_of(path)


def test_a_dataclass_comes_back_as_it_was(path: Path) -> None:
    path.write_bytes(to_json(CARD))

    assert read_json(path, Card, 3) == CARD


def test_json_is_sorted_and_ends_with_a_newline() -> None:
    assert to_json(CARD).decode().splitlines() == [
        "{",
        ' "format_version": 3,',
        ' "name": "kratzer \u00e4",',
        ' "note": null,',
        ' "shape": [',
        "  36,",
        "  39",
        " ]",
        "}",
    ]


def test_a_number_that_json_does_not_have_is_not_written() -> None:
    @dataclass
    class Measured:
        value: float

    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(Measured(float("nan")))


@pytest.mark.parametrize("version", [2, 4, "3", None])
def test_another_format_version_is_refused_by_name(path: Path, version: object) -> None:
    path.write_text(json.dumps({"format_version": version, "something": "of that version"}))

    with pytest.raises(ArtifactVersionError, match=rf"card\.json: format version {version!r}, this release reads 3"):
        read_json(path, Card, 3)


def test_a_missing_file_is_refused_by_name(path: Path) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"card\.json: cannot be read: No such file"):
        read_json(path, Card, 3)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"\x00" * 64])
def test_what_is_no_json_is_refused_by_name(path: Path, data: bytes) -> None:
    path.write_bytes(data)

    with pytest.raises(ArtifactCorruptError, match=r"card\.json: not JSON"):
        read_json(path, Card, 3)


@pytest.mark.parametrize("data", [b"[]", b"3", b"null", b"{}"])
def test_json_without_a_format_version_is_refused_by_name(path: Path, data: bytes) -> None:
    path.write_bytes(data)

    with pytest.raises(ArtifactVersionError, match=r"card\.json: format version None"):
        read_json(path, Card, 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": 5}, "name: Input should be a valid string"),
        ({"shape": [36]}, r"shape\.1: Field required"),
        ({"other": 1}, "other: Unexpected keyword argument"),
    ],
)
def test_a_field_that_does_not_fit_is_named(path: Path, changes: dict[str, Any], reason: str) -> None:
    path.write_text(json.dumps({"format_version": 3, "name": "x", "shape": [36, 39], **changes}))

    with pytest.raises(ArtifactCorruptError, match=rf"card\.json: {reason}"):
        read_json(path, Card, 3)
