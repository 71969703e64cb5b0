from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from miwake.indexer.embedder import CARD_FILE, Embedder, read_card
from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.health.learning import learn_health
from miwake.indexer.storage.files import to_json
from support.blobs import blob_records
from support.embedders import linear_discriminants
from support.references import make_embedder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_embedder(tmp_path)
    return tmp_path


def change(folder: Path, **values: Any) -> None:
    stored = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(stored | values))


def health_of(n_values: int) -> dict[str, Any]:
    vectors = np.random.default_rng(0).random((40, n_values)).astype(np.float32)
    found = learn_health(
        vectors,
        np.zeros(40, dtype=np.int32),
        parts=[""] * 40,
        pass_labels=(0,),
        shape=(2, n_values // 2),
        value_range=(0.0, 1.0),
    )
    assert found is not None
    stored: dict[str, Any] = json.loads(to_json(found))
    return stored


def test_a_card_of_an_earlier_release_opens_without_health(folder: Path) -> None:
    stored = json.loads((folder / CARD_FILE).read_text())
    del stored["health"]
    (folder / CARD_FILE).write_text(json.dumps(stored))

    assert read_card(folder).health is None


def test_health_comes_back_as_it_was_written(folder: Path) -> None:
    written = health_of(4)
    change(folder, health=written)

    card = read_card(folder)

    assert card.health is not None
    assert json.loads(to_json(card.health)) == written


def test_an_anchor_of_another_length_is_refused(folder: Path) -> None:
    change(folder, health=health_of(6))

    with pytest.raises(ArtifactCorruptError, match="an anchor of 6 values, expected 4"):
        read_card(folder)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"centre": 0.5, "low": 0.6, "high": 0.7}, "expected finite numbers that rise"),
        ({"centre": 0.5, "low": 0.4}, "high"),
        ({"centre": 0.5, "low": None, "high": 0.7}, "valid number"),
    ],
)
def test_limits_that_are_damaged_are_refused(folder: Path, limit: dict[str, Any], message: str) -> None:
    health = health_of(4)
    health["limits"]["focus"] = limit
    change(folder, health=health)

    with pytest.raises(ArtifactCorruptError, match=message):
        read_card(folder)


def test_an_embedder_without_health_tells_none(tmp_path: Path) -> None:
    records = blob_records(120)
    linear_discriminants(tmp_path, records)
    change(tmp_path, health=None)

    found = Embedder.open(tmp_path).health(records.vectors[:3])

    assert found.shape == (3, 0)
