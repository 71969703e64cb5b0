from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.errors import ArtifactCorruptError
from miwake.training.ablation.cells import Cell, cell_key, data_fingerprint, read_cell, write_cell
from miwake.training.presets import preset
from support.blobs import blob_records

CELL = Cell(
    settings={"threads": 1}, seed=3, source="a", data_fingerprint="f", truth=(0, 1), parts=(0, 1), pass_labels=(0,),
    answers={"verdict": (0, 0)}, method="vote", n_steps=2, best_step=1, fit_cpu_s=0.5, cpu_s=1.0, torch="2",
)  # fmt: skip


def test_a_cell_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_cell(tmp_path / "cell.json", CELL)
    assert read_cell(tmp_path / "cell.json") == CELL
    assert [path.name for path in tmp_path.iterdir()] == ["cell.json"]


def test_a_damaged_cell_is_named(tmp_path: Path) -> None:
    write_cell(tmp_path / "cell.json", CELL)
    (tmp_path / "cell.json").write_bytes((tmp_path / "cell.json").read_bytes()[:-20])
    with pytest.raises(ArtifactCorruptError, match=r"cell\.json"):
        read_cell(tmp_path / "cell.json")


def test_a_cell_is_another_with_another_setting_seed_or_data() -> None:
    settings = preset("best").settings
    keys = {
        cell_key(settings, 0, "f"),
        cell_key(preset("best", ["lr=1e-3"]).settings, 0, "f"),
        cell_key(settings, 1, "f"),
        cell_key(settings, 0, "g"),
    }
    assert len(keys) == 4
    assert cell_key(preset("smnrt17").settings, 0, "f") == cell_key(preset("smnrt11-mean").settings, 0, "f")


def test_the_fingerprint_sees_labels_split_and_values() -> None:
    records = blob_records(20)
    vectors = records.vectors.copy()
    vectors[3, 5] += 1
    others = [
        replace(records, vectors=vectors),
        replace(records, labels=np.roll(records.labels, 2)),
        replace(records, splits=("train",) * len(records)),
        replace(records, pass_labels=()),
    ]
    assert len({data_fingerprint(one) for one in (records, *others)}) == 5
    assert data_fingerprint(records) == data_fingerprint(blob_records(20))
