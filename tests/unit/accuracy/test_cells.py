from __future__ import annotations

from pathlib import Path

import pytest

from accuracy.cells import Cell, data_sets, keep, kept, training_key
from miwake.training.presets import preset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("boards_36x39.parquet", "tiles.parquet", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_data_sets_go_by_their_short_names(folder: Path) -> None:
    assert list(data_sets(folder)) == ["boards", "tiles"]
    assert data_sets(folder, ["boards_36x39"]) == {"boards": folder / "boards_36x39.parquet"}


def test_a_data_set_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    with pytest.raises(ValueError, match="no data set shoes, expected some of boards, tiles"):
        data_sets(folder, ["shoes"])


def test_another_setting_seed_or_left_out_class_is_another_embedder(folder: Path) -> None:
    path, usual = folder / "tiles.parquet", preset("best")
    asked = [
        (Cell("tiles", path, 0), usual),
        (Cell("tiles", path, 0), preset("best", ["lr=1e-4"])),
        (Cell("tiles", path, 1), usual),
        (Cell("tiles", path, 0, left_out=3), usual),
        (Cell("tiles", folder / "boards_36x39.parquet", 0), usual),
    ]
    keys = [training_key(cell, chosen) for cell, chosen in asked]
    assert len(set(keys)) == len(keys)
    assert training_key(*asked[0]) == keys[0]


def test_figures_are_kept_for_what_they_follow_from_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cells" / "one.json"
    assert kept(path, "key") is None
    keep(path, "key", {"accuracy": 0.9})
    assert kept(path, "key") == {"accuracy": 0.9}
    assert kept(path, "other key") is None
