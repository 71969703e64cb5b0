from __future__ import annotations

from dataclasses import replace

import pytest

from miwake.training.errors import SettingsError
from miwake.training.overrides import setting_names
from miwake.training.presets import DEFAULT_PRESET, PRESETS, preset


def test_the_classic_preset_is_faithful_to_its_source() -> None:
    settings = preset("smnrt17").settings
    assert settings.network.kind == "mlp"
    assert (*settings.network.widths, settings.network.n_dimensions) == (512, 256, 128)
    assert settings.network.unit_norm is False
    assert (settings.loss.loss, settings.loss.margin) == ("anchor-triplet", 0.4)
    assert (settings.optimiser.optimiser, settings.optimiser.lr) == ("adam", 3e-5)


def test_the_default_preset_embeds_on_the_unit_sphere_in_128_dimensions() -> None:
    network = PRESETS[DEFAULT_PRESET].settings.network
    assert (network.unit_norm, network.n_dimensions) == (True, 128)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    assert PRESETS[name].name == name
    assert PRESETS[name].summary.endswith(".")
    assert PRESETS[name].origin.endswith(".")


def test_a_setting_is_replaced_by_its_short_or_its_full_name() -> None:
    assert preset("best", ["lr=1e-4"]).settings.optimiser.lr == 1e-4
    assert preset("best", ["optimiser.lr=1e-4"]).settings.optimiser.lr == 1e-4
    assert preset("best", ["threads=3"]).settings.threads == 3


def test_numbers_with_commas_between_them_are_a_tuple() -> None:
    assert preset("smnrt17", ["widths=32,16"]).settings.network.widths == (32, 16)


def test_the_later_of_two_values_counts() -> None:
    assert preset("best", ["steps=5", "steps=7"]).settings.optimiser.steps == 7


def test_a_replaced_setting_leaves_the_preset_as_it_is() -> None:
    preset("best", ["lr=1e-4"])
    assert PRESETS["best"].settings.optimiser.lr != 1e-4


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("lr=abc", "optimiser.lr: 'abc'"),
        ("lr=-1", "optimiser.lr: '-1'"),
        ("lr=nan", "optimiser.lr: 'nan'"),
        ("widths=32,wide", "network.widths.1: 'wide'"),
        ("steps=0", "optimiser.steps: '0'"),
        ("batch_size=1.5", "optimiser.batch_size: '1.5'"),
        ("mirrors=sideways", "augmentation.mirrors: 'sideways'"),
        ("speed=3", "unknown setting 'speed'"),
        ("optimiser=adam=w", "'adam=w'"),
        ("lr", "'lr', expected name=value"),
        ("miner=hard", "setting loss: classify-contrast takes no miner, expected miner=off"),
        ("optimiser=schedule-free", "setting optimiser: schedule-free needs schedule=constant and averaging=0"),
        ("loss=hinge", "loss.loss: 'hinge'"),
        ("euclidean_margin=inf", "loss.euclidean_margin: 'inf'"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(override: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        preset("best", [override])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_told_the_known_ones() -> None:
    with pytest.raises(
        SettingsError, match="unknown preset 'worst', expected one of best, metric-learning, smnrt11-mean"
    ):
        preset("worst")


def test_every_setting_has_a_name_of_its_own() -> None:
    names = [name.rpartition(".")[2] for name in setting_names()]
    assert len(names) == len(set(names))


def test_the_budget_follows_the_rows_within_its_bounds() -> None:
    bounded = preset("best", ["epochs=10", "batch_size=100", "least_steps=50", "most_steps=200"]).settings.optimiser
    assert [bounded.budget(rows) for rows in (100, 1000, 10_000)] == [50, 100, 200]


def test_a_given_budget_is_kept() -> None:
    assert preset("best", ["steps=3"]).settings.optimiser.budget(1_000_000) == 3


def test_a_loss_brings_its_own_margin_and_a_given_one_is_kept() -> None:
    assert preset("metric-learning").settings.loss.margin == 0.1
    assert preset("metric-learning", ["loss=arcface", "miner=off"]).settings.loss.margin == 28.6
    assert preset("metric-learning", ["loss.margin=0.3"]).settings.loss.margin == 0.3
    assert preset("metric-learning", ["loss=supcon"]).settings.loss.margin is None


def test_the_two_sides_of_each_ablation_differ_in_one_setting() -> None:
    random, mean = preset("smnrt11-random").settings, preset("smnrt11-mean").settings
    assert replace(random, loss=replace(random.loss, anchor="mean-vector")) == mean
    assert mean == preset("smnrt17").settings
    published, corrected = preset("smnrt12-published").settings, preset("smnrt12").settings
    assert replace(published, loss=replace(published.loss, sign="triplet")) == corrected


def test_the_combined_presets_have_the_published_numbers() -> None:
    loss = preset("smnrt12-published").settings.loss
    assert (loss.cosine_weight, loss.cosine_margin) == (0.8, 0.4)
    assert (loss.euclidean_weight, loss.euclidean_margin) == (0.02, -5.0)
