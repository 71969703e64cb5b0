"""The campaigns of ``make faults`` in their short form: what is acknowledged stays, and each control is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.campaign import SHORT, Campaign
from faults.zygote import find_compiler

needs_a_compiler = pytest.mark.skipif(
    find_compiler() is None, reason="no C compiler (cc, gcc, clang): file operations cannot be recorded"
)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with Campaign(tmp_path_factory.mktemp("faults").resolve(), SHORT) as made:
        yield made


@needs_a_compiler
def test_what_was_acknowledged_survives_kills_at_fail_points(campaign: Campaign) -> None:
    found, control = campaign.kills()

    assert found.outcome.details == []
    assert found.outcome.n == SHORT.n_kills
    assert control.outcome.lost > 0


@needs_a_compiler
def test_what_was_acknowledged_survives_power_cuts_and_carelessness_does_not(campaign: Campaign) -> None:
    found, *controls = campaign.power_cuts()

    assert found.outcome.details == []
    assert found.outcome.n == SHORT.n_power_cuts
    assert [one.name for one in controls if not one.outcome.bad] == []
    assert len(controls) == 4


def test_damage_is_refused_and_would_be_accepted_without_hashes(campaign: Campaign) -> None:
    files, control, database = campaign.damage()

    assert files.outcome.details == database.outcome.details == []
    assert (files.outcome.n, database.outcome.n) == (SHORT.n_damages, SHORT.n_database_damages)
    assert control.outcome.lost > 0


def test_searchers_beside_a_writer_are_answered_as_by_hand(campaign: Campaign) -> None:
    found, control = campaign.searchers()

    assert found.outcome.details == []
    assert found.outcome.by_kind["generations"] >= 2
    assert control.outcome.lost > 0
