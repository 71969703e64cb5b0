from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from miwake.training.checkpoints import Checkpoints, run_identity
from miwake.training.division import TrainingRows, divide
from miwake.training.errors import ResumeError
from miwake.training.fit import fit
from miwake.training.fitted import Fitted, Standing
from miwake.training.presets import preset
from miwake.training.settings import Settings
from support.blobs import blob_records

TINY = ("widths=8,16", "batch_size=32", "steps=40", "threads=1", "n_dimensions=16")
FREE = ("optimiser=schedule-free", "schedule=constant", "averaging=0")


class InterruptedRunError(Exception):
    pass


@pytest.fixture(scope="module")
def rows() -> TrainingRows:
    return divide(blob_records(120))


def state_of(fitted: Fitted) -> dict[str, torch.Tensor]:
    return fitted.embedder.state_dict()


def interrupt(rows: TrainingRows, settings: Settings, checkpoints: Checkpoints, at: int) -> None:
    def stop(standing: Standing) -> None:
        if standing.step >= at:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        fit(rows, settings, seed=3, report=stop, checkpoints=checkpoints)


@pytest.mark.parametrize(
    ("name", "overrides", "at"),
    [
        ("best", (), 8),
        ("best", (), 33),
        ("best", FREE, 33),
        ("best", ("optimiser=ranger", "schedule=plateau"), 20),
        ("smnrt17", ("optimiser=sgd", "lr=0.01", "schedule=step"), 12),
        ("smnrt11-random", ("optimiser=radam", "keep=last"), 33),
        ("smnrt17", ("anchor=mean-embedding", "lr=0.001", "rounds=2"), 33),
        ("smnrt12-published", (), 33),
        ("soart3", ("lr=0.001", "rounds=2"), 33),
        ("metric-learning", ("miner=distance-weighted",), 12),
        ("metric-learning", ("loss=proxy-anchor", "miner=off"), 33),
    ],
)
def test_an_interrupted_run_goes_on_to_the_weights_of_an_unbroken_one(
    rows: TrainingRows, tmp_path: Path, name: str, overrides: tuple[str, ...], at: int
) -> None:
    settings = preset(name, [*TINY, *overrides]).settings
    unbroken = fit(rows, settings, seed=3)
    checkpoints = Checkpoints(tmp_path, every_s=0)
    interrupt(rows, settings, checkpoints, at)

    resumed = fit(rows, settings, seed=3, checkpoints=checkpoints, resume=True)

    assert checkpoints.step() == 40
    assert (resumed.step, resumed.score, resumed.mirrors) == (unbroken.step, unbroken.score, unbroken.mirrors)
    there, here = state_of(resumed), state_of(unbroken)
    assert all(torch.equal(there[key], here[key]) for key in here)


def test_a_resumed_run_goes_on_where_the_last_one_was_kept(rows: TrainingRows, tmp_path: Path) -> None:
    settings = preset("smnrt17", TINY).settings
    interrupt(rows, settings, Checkpoints(tmp_path, every_s=0), 30)  # told of step 32 after 28 was kept
    seen: list[Standing] = []
    fit(rows, settings, seed=3, report=seen.append, checkpoints=Checkpoints(tmp_path), resume=True)
    assert [one.step for one in seen] == [32, 36, 40]


@pytest.fixture
def interrupted(rows: TrainingRows, tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path, every_s=0)
    interrupt(rows, preset("smnrt17", TINY).settings, checkpoints, 12)
    return checkpoints


@pytest.mark.parametrize(
    ("overrides", "seed", "told"),
    [
        (("lr=0.5",), 3, "optimiser.lr = 3e-05, this one 0.5"),
        (("widths=8,17",), 3, "network.widths = (8, 16), this one (8, 17)"),
        (("threads=2",), 3, "threads = 1, this one 2"),
        ((), 4, "seed = 3, this one 4"),
    ],
)
def test_a_run_of_other_settings_is_refused_by_their_name(
    rows: TrainingRows, interrupted: Checkpoints, overrides: tuple[str, ...], seed: int, told: str
) -> None:
    with pytest.raises(ResumeError) as caught:
        fit(rows, preset("smnrt17", [*TINY, *overrides]).settings, seed=seed, checkpoints=interrupted, resume=True)
    assert told in str(caught.value)


def test_a_run_of_other_labels_is_refused(rows: TrainingRows, interrupted: Checkpoints) -> None:
    labels = rows.fit.labels.copy()
    labels[0] = labels[labels != labels[0]][0]
    other = replace(rows, fit=replace(rows.fit, labels=labels))
    with pytest.raises(ResumeError, match=r"rows = '[0-9a-f]{16}', this one '[0-9a-f]{16}'"):
        fit(other, preset("smnrt17", TINY).settings, seed=3, checkpoints=interrupted, resume=True)


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(rows: TrainingRows, tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="no checkpoint to go on from"):
        fit(rows, preset("smnrt17", TINY).settings, checkpoints=Checkpoints(tmp_path), resume=True)


@pytest.mark.parametrize("place", [0, 64, 70, 5000, -1])
def test_a_damaged_checkpoint_is_refused(interrupted: Checkpoints, place: int) -> None:
    data = bytearray(interrupted.path.read_bytes())
    data[place] ^= 0x10
    interrupted.path.write_bytes(data)
    with pytest.raises(ResumeError, match="damaged"):
        interrupted.step()


def test_a_checkpoint_cut_short_is_refused(interrupted: Checkpoints) -> None:
    interrupted.path.write_bytes(interrupted.path.read_bytes()[:-100])
    with pytest.raises(ResumeError, match="damaged"):
        interrupted.step()


def test_checkpoints_are_taken_no_more_often_than_was_asked(rows: TrainingRows, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, every_s=3600)
    fit(rows, preset("smnrt17", TINY).settings, checkpoints=checkpoints)
    assert not checkpoints.path.exists()


def test_the_identity_of_a_run_names_every_setting(rows: TrainingRows) -> None:
    identity = run_identity(rows, preset("best").settings, 7)
    assert identity["optimiser.lr"] == 3e-3
    assert identity["augmentation.balance"] == 0.5
    assert identity["threads"] >= 1
    assert {"seed", "rows", "torch", "device"} <= set(identity)
