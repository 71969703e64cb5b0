from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from miwake.indexer.embedder import CARD_FILE, MODEL_FILE, Embedder, EmbedderCard
from miwake.training.division import TrainingRows, divide
from miwake.training.errors import ParityError
from miwake.training.export import check_parity, to_onnx, write_artifact
from miwake.training.fit import fit
from miwake.training.fitted import Fitted
from miwake.training.presets import Preset, preset
from miwake.training.validation import embed
from support.blobs import blob_records

TINY = ("widths=8,16", "batch_size=32", "steps=12", "threads=1")


@pytest.fixture(scope="module")
def rows() -> TrainingRows:
    return divide(blob_records(120))


@pytest.fixture(scope="module", params=["best", "smnrt17"])
def chosen(request: pytest.FixtureRequest) -> Preset:
    return preset(request.param, TINY)


@pytest.fixture(scope="module")
def fitted(rows: TrainingRows, chosen: Preset) -> Fitted:
    return fit(rows, chosen.settings)


@pytest.fixture(scope="module")
def folder(rows: TrainingRows, chosen: Preset, fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    write_artifact(folder, fitted, rows, chosen, seed=0)
    return folder


@pytest.fixture(scope="module")
def card(folder: Path) -> EmbedderCard:
    return Embedder.open(folder).card


def test_an_artifact_is_one_model_and_its_card(folder: Path) -> None:
    assert sorted(one.name for one in folder.iterdir()) == sorted([CARD_FILE, MODEL_FILE])


def test_onnx_runtime_gives_what_pytorch_gives_for_raw_values(folder: Path, fitted: Fitted, rows: TrainingRows) -> None:
    served = Embedder.open(folder).embed(rows.calibration.vectors)
    # promised at export: 1e-4 of an embedding's length; rounding of a few layers is a hundredth of that
    np.testing.assert_allclose(served, embed(fitted.embedder, rows.calibration.vectors), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n_vectors", [0, 1, 2, 63, 65])
def test_any_number_of_vectors_can_be_embedded(folder: Path, rows: TrainingRows, n_vectors: int) -> None:
    assert Embedder.open(folder).embed(rows.fit.vectors[:n_vectors]).shape == (n_vectors, 128)


def test_a_vector_embeds_alike_alone_and_in_a_batch(folder: Path, rows: TrainingRows) -> None:
    embedder = Embedder.open(folder)
    together = embedder.embed(rows.fit.vectors[:40])
    alone = np.concatenate([embedder.embed(vector[None]) for vector in rows.fit.vectors[:40]])
    # SPEC promise 3: within 1e-5 of rounding
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-5)


def test_the_card_says_what_was_trained_on_what(card: EmbedderCard, rows: TrainingRows, chosen: Preset) -> None:
    assert (card.n_values, card.n_dimensions, card.heat_map_shape) == (156, 128, (12, 13))
    assert card.value_range == (0.0, 255.0)
    assert (card.labels, card.pass_labels) == ((0, 1, 2, 3, 7), (0,))
    assert card.preset == chosen.name
    assert card.settings["optimiser"]["steps"] == 12
    assert card.settings["seed"] == 0
    assert card.fit_row_hashes == tuple(sorted(rows.fit.row_hashes()))
    assert card.data_fingerprint == rows.fingerprint


def test_the_card_holds_the_validation_figures_and_the_measured_parity(card: EmbedderCard) -> None:
    assert 0 <= card.metrics["calibration_accuracy"] <= 1
    assert 0 <= card.metrics["parity_relative_difference"] <= 1e-4
    assert card.metrics["steps"] == 12


def test_the_card_holds_what_is_ordinary_for_an_input(folder: Path, card: EmbedderCard, rows: TrainingRows) -> None:
    assert card.health is not None
    assert (card.health.n_rows, len(card.health.anchor)) == (len(rows.fit), 156)
    assert card.health.false_alarms is not None
    deviations = Embedder.open(folder).health(rows.fit.vectors)
    assert deviations.shape == (len(rows.fit), 6)
    # one in a hundred may be beyond a limit, and of these few rows hardly any is
    assert (np.abs(deviations) > 1).any(axis=1).mean() <= 0.01


def test_the_same_network_exports_to_the_same_bytes(fitted: Fitted) -> None:
    first, second = to_onnx(fitted.embedder, 156), to_onnx(fitted.embedder, 156)
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


def test_the_model_holds_its_weights_and_does_not_tell_where_it_was_made(fitted: Fitted) -> None:
    data = to_onnx(fitted.embedder, 156)
    model = onnx.load_model_from_string(data)
    assert all(one.data_location == onnx.TensorProto.DEFAULT for one in model.graph.initializer)
    assert b".py" not in data
    assert str(Path.cwd()).encode() not in data


def test_a_model_that_is_not_the_network_is_refused(fitted: Fitted, rows: TrainingRows) -> None:
    model = to_onnx(fitted.embedder, 156)
    with torch.no_grad():
        for parameter in fitted.embedder.parameters():
            parameter.mul_(1.01)
    try:
        with pytest.raises(ParityError, match="ONNX Runtime differs from PyTorch by"):
            check_parity(model, fitted.embedder, rows.calibration.vectors)
    finally:
        with torch.no_grad():
            for parameter in fitted.embedder.parameters():
                parameter.div_(1.01)
