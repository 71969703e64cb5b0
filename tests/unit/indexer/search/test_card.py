"""``search.json``: what is read, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.search.card import SEARCH_FILE, Agreement, SearchCard, read_card
from miwake.indexer.storage.files import to_json

if TYPE_CHECKING:
    from pathlib import Path

CARD = SearchCard(
    kind="ivf-flat",
    parameters={"n_lists": 100, "n_probes": 8},
    agreement=Agreement(references=0.999, between=0.993, n_queries=512),
    bound=0.99,
    asked="auto",
    reason="40000 references, more than 30000",
)


def write(folder: Path, **changed: Any) -> None:
    stored = json.loads(to_json(CARD)) | changed
    (folder / SEARCH_FILE).write_text(json.dumps(stored), encoding="utf-8")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    (tmp_path / SEARCH_FILE).write_bytes(to_json(CARD))
    assert read_card(tmp_path) == CARD


def test_a_generation_without_the_file_is_searched_exactly(tmp_path: Path) -> None:
    assert read_card(tmp_path) == SearchCard(kind="flat", agreement=None)


def test_another_version_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, format_version=2)
    with pytest.raises(ArtifactVersionError, match=r"search\.json: format version 2, this release reads 1"):
        read_card(tmp_path)


def test_an_unknown_kind_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, kind="scann")
    with pytest.raises(ArtifactCorruptError, match=r"search\.json: kind"):
        read_card(tmp_path)


@pytest.mark.parametrize("parameters", [{}, {"n_lists": 100}, {"n_probes": 0}])
def test_a_kind_without_what_its_search_needs_is_refused(tmp_path: Path, parameters: dict[str, int]) -> None:
    write(tmp_path, parameters=parameters)
    with pytest.raises(ArtifactCorruptError, match="ivf-flat without n_probes"):
        read_card(tmp_path)


def test_damage_is_refused(tmp_path: Path) -> None:
    (tmp_path / SEARCH_FILE).write_bytes(to_json(CARD)[:-20])
    with pytest.raises(ArtifactCorruptError, match="not JSON"):
        read_card(tmp_path)


def test_it_is_told_in_one_line() -> None:
    assert CARD.text() == (
        "search ivf-flat, n_lists 100, n_probes 8 (auto: 40000 references, more than 30000): of the ten nearest, "
        "99.90% found for 512 references, 99.30% between them; bound 99.00%"
    )


def test_a_generation_that_was_never_measured_says_so() -> None:
    assert SearchCard(kind="flat").text() == "search flat: not measured against exact search"
