"""The commands that repeat what a report shows."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from miwake.training.presets import PRESETS, preset

if TYPE_CHECKING:
    from miwake.indexer.embedder import EmbedderCard


def fit_command(card: EmbedderCard) -> str | None:
    """Return the command that fits such an embedder, to DATA and into OUT; None where its preset is not known here."""
    if card.preset not in PRESETS:
        return None
    usual = _flat(json.loads(json.dumps(asdict(preset(card.preset).settings))))
    used = _flat(json.loads(json.dumps(dict(card.settings))))
    words = ["miwake-train", "fit", "DATA", "--out", "OUT", "--preset", card.preset]
    words += ["--seed", str(used.get("seed", 0))]
    for name, value in used.items():
        if name in usual and usual[name] != value:
            words += ["--set", f"{name}={_text(value)}"]
    return shlex.join(words)


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{name}.{inside}" if inside else name: value
        for name, group in settings.items()
        for inside, value in (group.items() if isinstance(group, dict) else [("", group)])
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return "none" if value is None else str(value)
