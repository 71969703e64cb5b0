from __future__ import annotations

import pytest

from miwake.training.ablation.arms import arms_of
from miwake.training.errors import SettingsError


def test_an_arm_is_a_preset_or_a_name_with_a_preset_and_settings() -> None:
    first, second = arms_of(["smnrt17", "wide=best,widths=32,64,128,lr=1e-3"])
    assert (first.name, first.preset.name) == ("smnrt17", "smnrt17")
    assert (second.name, second.preset.name) == ("wide", "best")
    assert second.preset.settings.network.widths == (32, 64, 128)
    assert second.preset.settings.optimiser.lr == 1e-3


def test_an_arm_without_a_name_is_called_by_its_whole_text() -> None:
    assert [arm.name for arm in arms_of(["best", "best,lr=1e-3"])] == ["best", "best,lr=1e-3"]


def test_what_an_arm_sets_comes_after_what_all_of_them_set() -> None:
    first, second = arms_of(["best", "long=best,steps=90"], common=["steps=30"])
    assert (first.preset.settings.optimiser.steps, second.preset.settings.optimiser.steps) == (30, 90)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["best"], "1 arms, expected two or more"),
        (["best", "a=worst"], "arm 'a=worst': unknown preset 'worst', expected one of best"),
        (["best", "a=best,lr=fast"], "arm 'a=best,lr=fast': setting optimiser.lr: 'fast' does not fit"),
        (["best", "a=best,steps"], "arm 'a=best,steps': setting 'steps', expected name=value"),
        (["a=best", "a=smnrt17"], "2 arms are called 'a', expected a name of its own"),
    ],
)
def test_what_is_no_arm_is_named(texts: list[str], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        arms_of(texts)
    assert told in str(raised.value)
