"""Replacing settings by their names."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import pydantic

from miwake.training.errors import SettingsError
from miwake.training.settings import (
    DEFAULT_MARGINS,
    AugmentationSettings,
    LossSettings,
    NetworkSettings,
    OptimiserSettings,
    SamplingSettings,
    Settings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def replaced(settings: Settings, overrides: Sequence[str]) -> Settings:
    """Return settings with some replaced, and with the margin that its loss has where none is given.

    Parameters
    ----------
    overrides : sequence of ``name=value``
        ``lr=1e-3`` or ``optimiser.lr=1e-3``; tuples as ``widths=32,64,128``, nothing as ``steps=none``.

    Raises
    ------
    SettingsError
        If a setting is unknown, or a value does not fit.
    """
    values = asdict(settings)
    for override in overrides:
        _replace(values, override)
    if values["loss"]["margin"] is None:
        values["loss"]["margin"] = DEFAULT_MARGINS.get(values["loss"]["loss"])
    return _checked(values)


def setting_names() -> tuple[str, ...]:
    """Return the full name of every setting, in the order of the groups."""
    groups = {
        "network": NetworkSettings, "loss": LossSettings, "optimiser": OptimiserSettings,
        "augmentation": AugmentationSettings, "sampling": SamplingSettings,
    }  # fmt: skip
    return tuple(
        f"{one.name}.{inside.name}" if inside else one.name
        for one in fields(Settings)
        for inside in (fields(groups[one.name]) if one.name in groups else (None,))
    )


def _replace(values: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    if not equals:
        message = f"setting {override!r}, expected name=value"
        raise SettingsError(message)
    matches = [full for full in setting_names() if name == full or (f".{name}" in full and full.endswith(f".{name}"))]
    if len(matches) != 1:
        message = f"unknown setting {name!r}, expected one of {', '.join(setting_names())}"
        raise SettingsError(message)
    group, _, leaf = matches[0].rpartition(".")
    inside = values[group] if group else values
    inside[leaf] = _parsed(value, is_tuple=isinstance(inside[leaf], tuple))


def _parsed(value: str, *, is_tuple: bool) -> str | tuple[str, ...] | None:
    if is_tuple:
        return tuple(part.strip() for part in value.split(","))
    return None if value.lower() in {"none", ""} else value


def _checked(values: dict[str, Any]) -> Settings:
    try:
        return pydantic.TypeAdapter(Settings).validate_python(values)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        # What a whole group is refused for names the settings itself; its input is all of them.
        given = "" if isinstance(first["input"], dict) else f"{first['input']!r} does not fit: "
        message = f"setting {where}: {given}{first['msg'].removeprefix('Value error, ')}"
        raise SettingsError(message) from error
