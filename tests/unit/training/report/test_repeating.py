from __future__ import annotations

import shlex
from dataclasses import asdict, replace

import pytest

from miwake.indexer.embedder import EmbedderCard
from miwake.training.presets import PRESETS, preset
from miwake.training.report.repeating import fit_command
from support.blobs import blob_records
from support.embedders import linear_discriminants


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> EmbedderCard:
    return linear_discriminants(tmp_path_factory.mktemp("embedder"), blob_records(60)).card


def settings_of(command: str) -> dict[str, object]:
    words = shlex.split(command)
    name, seed = words[words.index("--preset") + 1], words[words.index("--seed") + 1]
    given = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    return {**asdict(preset(name, given).settings), "seed": int(seed)}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_as_it_is_needs_no_settings(card: EmbedderCard, name: str) -> None:
    used = replace(card, preset=name, settings={**asdict(preset(name).settings), "seed": 3})

    assert fit_command(used) == f"miwake-train fit DATA --out OUT --preset {name} --seed 3"


def test_the_command_gives_the_settings_that_were_used(card: EmbedderCard) -> None:
    overrides = ["widths=8,16", "lr=1e-4", "steps=12", "mirrors=off", "loss=arcface", "unit_norm=false"]
    used = {**asdict(preset("best", overrides).settings), "seed": 7}

    command = fit_command(replace(card, preset="best", settings=used))

    assert command is not None
    assert settings_of(command) == used


def test_an_unknown_preset_has_no_command(card: EmbedderCard) -> None:
    assert fit_command(card) is None
