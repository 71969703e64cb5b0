"""From a data set to an artifact that has learnt something, on synthetic and on real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.embedder import MODEL_FILE, Embedder
from miwake.indexer.records import Records
from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.storage.files import sha256_of
from miwake.training.errors import FittedRowsError
from miwake.training.evaluate import EmbedderEvaluation, evaluate_all, evaluate_held_out
from miwake.training.presets import preset
from miwake.training.run import train
from support.data import shared_data

READING = ReadSettings()
ONE_THREAD = "threads=1"
"""Tests share their machine; threads that wait for each other there are slower than one."""

EVERY = 6
"""Of the parts of a real data set, one in so many: enough to learn from in seconds."""


def fitted(source: str | Path, folder: Path, name: str, *overrides: str) -> Embedder:
    train(str(source), folder, preset(name, [ONE_THREAD, *overrides]), reading=READING)
    return Embedder.open(folder)


def commonest_share(records: Records) -> float:
    """Return the accuracy of always answering the commonest held-out label."""
    labels = records.labels[np.array(records.splits) == "test"]
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = read_records(shared_data("deeppcb_36x39"))
    parts = sorted(set(records.parts))[::EVERY]
    path = tmp_path_factory.mktemp("data") / "boards.parquet"
    write_parquet(records.take(np.isin(np.array(records.parts), parts)), path)
    return path


def test_the_default_learns_the_synthetic_parts(tmp_path: Path) -> None:
    source = "synthetic:parts=250"
    records = read_records(source)
    found = evaluate_held_out(fitted(source, tmp_path, "best", "steps=150"), records)
    assert found.nearest_references.accuracy.value > commonest_share(records) + 0.2


def test_the_default_learns_real_boards(boards: Path, tmp_path: Path) -> None:
    found = evaluate_held_out(fitted(boards, tmp_path, "best", "steps=200"), read_records(boards))
    assert found.nearest_references.accuracy.value > 0.5
    assert found.nearest_references.escape is not None
    assert found.nearest_references.escape.value < 0.3


def test_the_classic_recipe_learns_real_boards(boards: Path, tmp_path: Path) -> None:
    found: EmbedderEvaluation = evaluate_held_out(
        fitted(boards, tmp_path, "smnrt17", "steps=300"), read_records(boards)
    )
    assert found.nearest_references.balanced_accuracy > 1 / 7 + 0.15


def test_what_was_trained_on_is_refused_for_evaluation(boards: Path, tmp_path: Path) -> None:
    embedder = fitted(boards, tmp_path, "best", "steps=2")
    with pytest.raises(FittedRowsError):
        evaluate_all(embedder, read_records(boards))


def test_the_same_seed_gives_the_same_model_file(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        chosen = preset("best", [ONE_THREAD, "steps=12"])
        train("synthetic:parts=60", tmp_path / name, chosen, reading=READING, seed=seed)
    first, second, third = (sha256_of(tmp_path / name / MODEL_FILE) for name in ("first", "second", "third"))
    assert first == second
    assert first != third
