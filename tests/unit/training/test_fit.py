from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from miwake.training.division import TrainingRows, divide
from miwake.training.errors import DivergedError
from miwake.training.fit import Fitted, Standing, fit
from miwake.training.presets import preset
from support.blobs import blob_records

TINY = ("widths=8,16", "batch_size=32", "steps=30", "threads=1")


@pytest.fixture(scope="module")
def rows() -> TrainingRows:
    return divide(blob_records(120))


def weights(fitted: Fitted) -> torch.Tensor:
    return torch.cat([one.flatten().float() for one in fitted.embedder.state_dict().values()])


@pytest.mark.parametrize("name", ["best", "smnrt17"])
def test_the_same_seed_gives_the_same_weights_to_the_last_bit(rows: TrainingRows, name: str) -> None:
    settings = preset(name, TINY).settings
    assert torch.equal(weights(fit(rows, settings, seed=4)), weights(fit(rows, settings, seed=4)))


def test_another_seed_gives_other_weights(rows: TrainingRows) -> None:
    settings = preset("best", TINY).settings
    assert not torch.equal(weights(fit(rows, settings, seed=4)), weights(fit(rows, settings, seed=5)))


def test_fitting_learns_what_distinguishes_the_classes(rows: TrainingRows) -> None:
    fitted = fit(rows, preset("best", [*TINY, "steps=150"]).settings)
    assert fitted.score is not None
    # the commonest class has 40 % of the rows and a fifth of the balanced accuracy: 0.3
    assert fitted.score.value > 0.8


def test_the_checkpoint_kept_is_the_best_on_the_calibration_parts(rows: TrainingRows) -> None:
    seen: list[Standing] = []
    fitted = fit(rows, preset("best", [*TINY, "steps=60"]).settings, report=seen.append)
    scores = {one.step: one.score.value for one in seen if one.score is not None}
    assert fitted.score is not None
    assert fitted.score.value == max(scores.values()) == scores[fitted.step]


def test_progress_counts_up_to_the_budget(rows: TrainingRows) -> None:
    seen: list[Standing] = []
    fit(rows, preset("best", TINY).settings, report=seen.append)
    steps = [one.step for one in seen]
    assert steps == sorted(steps)
    assert steps[-1] == 30
    assert {one.n_steps for one in seen} == {30}


def test_a_run_that_diverges_stops_and_names_the_step_and_the_rows(rows: TrainingRows) -> None:
    told = r"diverged at step \d+: the .* is (nan|inf), expected a finite number .* rows of the batch: blob-0-\d+, "
    with pytest.raises(DivergedError, match=told) as caught:
        fit(rows, preset("smnrt17", [*TINY, "lr=1e30"]).settings)
    assert len(caught.value.row_ids) == 32
    assert set(caught.value.row_ids) <= set(rows.fit.ids)


def test_a_gradient_that_is_no_number_stops_a_run_whose_loss_is_one(rows: TrainingRows) -> None:
    flat = rows.fit.vectors.copy()
    flat[:] = flat[0]
    # vectors that are all the same have embeddings at distance 0 of each other, where a norm without its usual
    # small term has no gradient
    same = replace(rows, fit=replace(rows.fit, vectors=flat))
    with pytest.raises(DivergedError, match="the length of the gradient is nan"):
        fit(same, preset("metric-learning", [*TINY, "loss=ntxent", "miner=off", "temperature=1e-30"]).settings)


def test_without_calibration_rows_the_last_step_is_kept(rows: TrainingRows) -> None:
    nothing = rows.calibration.take(np.zeros(len(rows.calibration), dtype=np.bool_))
    fitted = fit(replace(rows, calibration=nothing), preset("best", TINY).settings)
    assert (fitted.step, fitted.score, fitted.mirrors) == (30, None, ())


def test_no_mirrored_map_is_trained_on_where_the_place_of_a_defect_is_its_label(rows: TrainingRows) -> None:
    assert fit(rows, preset("best", [*TINY, "steps=100"]).settings).mirrors == ()


def test_the_threads_of_the_caller_are_given_back(rows: TrainingRows) -> None:
    before = torch.get_num_threads()
    fit(rows, preset("best", [*TINY, "steps=2", "threads=2"]).settings)
    assert torch.get_num_threads() == before


def test_the_random_state_of_the_caller_is_left_alone(rows: TrainingRows) -> None:
    before = torch.get_rng_state()
    fit(rows, preset("best", [*TINY, "steps=2"]).settings)
    assert torch.equal(torch.get_rng_state(), before)
