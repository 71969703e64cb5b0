"""Arms of an ablation: a preset with some settings replaced, under a name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.training.errors import SettingsError
from miwake.training.presets import preset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.training.presets import Preset

FEWEST_ARMS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One side of a comparison: its name in tables, and the preset with its settings."""

    name: str
    preset: Preset


def arms_of(texts: Sequence[str], common: Sequence[str] = ()) -> tuple[Arm, ...]:
    """Return the arms that are named, the first of which is the baseline.

    Parameters
    ----------
    texts : sequence of ``[NAME=]PRESET[,setting=value …]``
        Without a name, the whole text is it. A piece without ``=`` goes on with the value before:
        ``best,widths=32,64,lr=1e-3`` sets two settings.
    common : sequence of ``setting=value``
        For every arm; what an arm sets itself comes after it.

    Raises
    ------
    SettingsError
        If there are fewer than two arms, two have the same name, or an arm names an unknown preset or setting.
    """
    arms = tuple(_arm(text, common) for text in texts)
    if len(arms) < FEWEST_ARMS:
        message = f"{len(arms)} arms, expected two or more: --arm smnrt11-random --arm smnrt11-mean"
        raise SettingsError(message)
    name, count = Counter(arm.name for arm in arms).most_common(1)[0]
    if count > 1:
        message = (
            f"{count} arms are called {name!r}, expected a name of its own for each: --arm NAME=PRESET,setting=value"
        )
        raise SettingsError(message)
    return arms


def _arm(text: str, common: Sequence[str]) -> Arm:
    head, *pieces = text.split(",")
    name, _, chosen = head.rpartition("=")
    overrides: list[str] = []
    for piece in pieces:
        if "=" in piece or not overrides:
            overrides.append(piece.strip())
        else:
            overrides[-1] += f",{piece.strip()}"
    try:
        return Arm(name=name or text, preset=preset(chosen, [*common, *overrides]))
    except SettingsError as error:
        message = f"arm {text!r}: {error}"
        raise SettingsError(message) from error
