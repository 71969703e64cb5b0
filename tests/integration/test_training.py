"""From a data set to an artifact that has learnt something, on synthetic and on real data."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from miwake.indexer.embedder import MODEL_FILE, Embedder
from miwake.indexer.records import Records
from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.files import sha256_of
from miwake.training.checkpoints import CHECKPOINT_FILE, Checkpoints
from miwake.training.division import TrainingRows, divide
from miwake.training.errors import FittedRowsError
from miwake.training.evaluate import EmbedderEvaluation, evaluate_all, evaluate_held_out
from miwake.training.fit import fit
from miwake.training.networks import Embedder as FittedEmbedder
from miwake.training.networks import build
from miwake.training.presets import Preset, preset
from miwake.training.retrieval import retrieval_score
from miwake.training.run import Keeping, train
from miwake.training.run_log import LOG_FILE
from miwake.training.validation import embed
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
    found = evaluate_held_out(fitted(source, tmp_path, "best", "steps=300"), records)
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


FEW_STEPS = {
    "metric-learning": ("steps=60", "averaging=0", "mirrors=off", "shift=0"),
    "smnrt11-random": ("steps=100", "lr=3e-4"),
    "smnrt12": ("steps=100", "lr=3e-4"),
    "smnrt12-published": ("steps=100", "lr=3e-4", "keep=last"),
    "soart3": ("steps=100",),
}
"""What lets each preset show in seconds that it learns; its own budget is many times longer."""


@pytest.fixture(scope="module")
def board_rows(boards: Path) -> tuple[TrainingRows, Records]:
    records = read_records(boards)
    return divide(records), held_out_split(records)[1]


def held_out_score(embedder: FittedEmbedder, rows: tuple[TrainingRows, Records]) -> float:
    references, queries = rows[0].fit, rows[1]
    known, asked = (embed(embedder, one.vectors) for one in (references, queries))
    return retrieval_score(asked, queries.labels, known, references.labels).value


def own_anchor_farther(embedder: FittedEmbedder, rows: tuple[TrainingRows, Records]) -> float:
    """Return by how much the own class's anchor is farther than the others, by cosine, over held-out rows."""
    fitted, queries = rows[0].fit, rows[1]
    labels = np.unique(fitted.labels)
    means = np.stack([fitted.vectors[fitted.labels == label].mean(axis=0) for label in labels])
    asked, anchors = (
        one / np.linalg.norm(one, axis=1, keepdims=True)
        for one in (embed(embedder, queries.vectors), embed(embedder, means))
    )
    distances, is_own = 1 - asked @ anchors.T, queries.labels[:, None] == labels
    return float(distances[is_own].mean() - distances[~is_own].mean())


def untrained(rows: TrainingRows, chosen: Preset) -> FittedEmbedder:
    torch.manual_seed(0)
    return FittedEmbedder(build(rows.fit.heat_map_shape, chosen.settings.network), rows.value_range).eval()


@pytest.mark.parametrize("name", ["metric-learning", "smnrt11-random", "smnrt12", "soart3"])
def test_every_other_preset_learns_real_boards(board_rows: tuple[TrainingRows, Records], name: str) -> None:
    chosen = preset(name, [ONE_THREAD, *FEW_STEPS[name]])
    before = held_out_score(untrained(board_rows[0], chosen), board_rows)
    assert held_out_score(fit(board_rows[0], chosen.settings).embedder, board_rows) > before + 0.04


@pytest.mark.parametrize(("name", "direction"), [("smnrt12", -1), ("smnrt12-published", 1)])
def test_the_published_sign_moves_parts_the_other_way_from_their_anchor(
    board_rows: tuple[TrainingRows, Records], name: str, direction: int
) -> None:
    chosen = preset(name, [ONE_THREAD, *FEW_STEPS[name], "steps=50"])
    before = own_anchor_farther(untrained(board_rows[0], chosen), board_rows)
    after = own_anchor_farther(fit(board_rows[0], chosen.settings).embedder, board_rows)
    assert direction * (after - before) > 0.01


def test_a_run_that_was_killed_goes_on_to_the_model_file_of_an_unbroken_one(tmp_path: Path) -> None:
    source, out = "synthetic:parts=60", tmp_path / "resumed"
    overrides = [ONE_THREAD, "steps=300", "widths=8,16", "batch_size=32"]
    command = [sys.executable, "-c", "from miwake.training.cli import app; app()", "fit", source, "--out", str(out)]
    options = [part for one in overrides for part in ("--set", one)]
    command += [*options, "--checkpoint-every", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:  # noqa: S603 - our own command
        assert run.stderr is not None
        told = iter(run.stderr)
        while not next(told).startswith("step 90/"):
            pass
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    assert not out.exists()
    kept_at = Checkpoints(tmp_path / "resumed.run").step()
    assert 60 <= kept_at < 300

    chosen = preset("best", overrides)
    resumed = train(source, out, chosen, reading=READING, keeping=Keeping(folder=tmp_path / "resumed.run", resume=True))
    unbroken = train(source, tmp_path / "unbroken", chosen, reading=READING)

    assert resumed.sha256 == unbroken.sha256
    assert not (tmp_path / "resumed.run" / CHECKPOINT_FILE).exists()
    lines = [json.loads(line) for line in (tmp_path / "resumed.run" / LOG_FILE).read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted({*range(20, 301, 20), *range(30, 301, 30)})


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
