from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from miwake.training.division import TrainingRows, divide
from miwake.training.errors import DivergedError
from miwake.training.fit import Run, fit
from miwake.training.fitted import Fitted, Standing
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


def test_a_gradient_without_a_finite_length_stops_a_run_whose_loss_is_a_number(rows: TrainingRows) -> None:
    with pytest.raises(DivergedError, match="diverged at step 1: the length of the gradient is inf"):
        fit(rows, preset("best", [*TINY, "cosine_scale=1e30", "supcon=0"]).settings)


@pytest.mark.parametrize("name", ["smnrt11-random", "smnrt12", "soart3", "metric-learning"])
def test_every_kind_of_preset_repeats_itself_to_the_last_bit(rows: TrainingRows, name: str) -> None:
    settings = preset(name, TINY).settings
    assert torch.equal(weights(fit(rows, settings, seed=4)), weights(fit(rows, settings, seed=4)))


def test_a_run_without_gain_stops_early_at_its_best(rows: TrainingRows) -> None:
    seen: list[Standing] = []
    # a network that hardly moves does not get better
    settings = preset("smnrt17", [*TINY, "steps=1000", "lr=1e-12", "early_stop=3"]).settings
    fitted = fit(rows, settings, report=seen.append)
    assert seen[-1].step == 300
    assert fitted.n_steps == 1000


def test_the_end_of_a_run_is_kept_where_that_is_wanted(rows: TrainingRows) -> None:
    # a learning rate that ruins the network: its best weights are those of an early step
    ruinous = [*TINY, "lr=30", "loss=combined", "sign=published", "optimiser=sgd"]
    assert fit(rows, preset("smnrt17", ruinous).settings).step < 30
    assert fit(rows, preset("smnrt17", [*ruinous, "keep=last"]).settings).step == 30


def test_schedule_free_hands_over_the_weights_that_it_measured(rows: TrainingRows) -> None:
    free = ("optimiser=schedule-free", "schedule=constant", "averaging=0", "steps=100", "lr=0.01")
    fitted = fit(rows, preset("best", [*TINY, *free]).settings)
    assert fitted.score is not None
    # batch statistics of the weights that were trained at, not of their average, would leave it near chance: 0.3
    assert fitted.score.value > 0.6


def test_without_calibration_rows_the_last_step_is_kept(rows: TrainingRows) -> None:
    nothing = rows.calibration.take(np.zeros(len(rows.calibration), dtype=np.bool_))
    fitted = fit(replace(rows, calibration=nothing), preset("best", TINY).settings)
    assert (fitted.step, fitted.score, fitted.mirrors) == (30, None, ())


def test_no_mirrored_map_is_trained_on_where_the_place_of_a_defect_is_its_label(rows: TrainingRows) -> None:
    assert fit(rows, preset("best", [*TINY, "widths=8,16,32", "steps=100"]).settings).mirrors == ()


def test_the_threads_of_the_caller_are_given_back(rows: TrainingRows) -> None:
    before = torch.get_num_threads()
    fit(rows, preset("best", [*TINY, "steps=2", "threads=2"]).settings)
    assert torch.get_num_threads() == before


def test_the_random_state_of_the_caller_is_left_alone(rows: TrainingRows) -> None:
    before = torch.get_rng_state()
    fit(rows, preset("best", [*TINY, "steps=2"]).settings)
    assert torch.equal(torch.get_rng_state(), before)


def test_passes_with_a_planted_defect_come_on_top_of_a_batch_as_a_class_of_their_own(rows: TrainingRows) -> None:
    plain = ("mirrors=off", "shift=0", "noise=0", "contrast=0", "brightness=0")
    run = Run(rows, preset("best", [*TINY, *plain, "planted=0.25"]).settings, seed=0)
    drawn = torch.arange(32)
    batch = run.batch(drawn)
    passes = run.data.vectors[drawn][np.isin(rows.fit.labels[:32], rows.fit.pass_labels)]
    n_planted = min(8, len(passes))

    assert n_planted > 0
    assert torch.equal(batch.vectors[:32], run.data.vectors[drawn])
    assert torch.equal(batch.classes[:32], run.data.classes[drawn])
    assert batch.classes[32:].tolist() == [run.n_classes] * n_planted
    shares = (batch.vectors[32:, None] == passes[None]).double().mean(dim=2).max(dim=1).values
    assert ((shares > 0.5) & (shares < 1)).all()  # of one of the passes, but for a patch
    assert run.data.classes.max() == run.n_classes - 1
    assert np.isfinite(fit(rows, preset("best", [*TINY, "planted=0.25"]).settings).value)


def test_nothing_is_planted_where_nothing_passes(rows: TrainingRows) -> None:
    without = replace(rows, fit=replace(rows.fit, pass_labels=()))
    batch = Run(without, preset("best", [*TINY, "planted=0.25"]).settings, seed=0).batch(torch.arange(32))
    assert len(batch.classes) == 32
