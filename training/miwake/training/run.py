"""From a data set to an embedder artifact: read, divide, fit, export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miwake.indexer.sources.reader import read_records
from miwake.training.division import divide
from miwake.training.export import write_artifact
from miwake.training.fit import fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from miwake.indexer.embedder import EmbedderCard
    from miwake.indexer.sources.settings import ReadSettings
    from miwake.training.fit import Standing
    from miwake.training.presets import Preset


def train(
    source: str,
    folder: Path,
    preset: Preset,
    *,
    reading: ReadSettings,
    seed: int = 0,
    report: Callable[[Standing], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> EmbedderCard:
    """Fit ``preset`` to the training rows of ``source`` and write the artifact into ``folder``.

    Parameters
    ----------
    report : callable
        Told how the run stands.
    warn : callable
        Told what deserves a look in the data, a line each.

    Raises
    ------
    DataError, TrainingError
        If the data cannot be read or trained on, the run diverges, or the export is not the network.
    """
    records = read_records(source, reading)
    for warning in records.warnings:
        warn(warning)
    rows = divide(records)
    return write_artifact(folder, fit(rows, preset.settings, seed=seed, report=report), rows, preset, seed=seed)
