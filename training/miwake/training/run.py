"""From a data set to an embedder artifact: read, divide, fit, export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.sources.reader import read_records
from miwake.training.checkpoints import SAVE_EVERY_S, Checkpoints
from miwake.training.division import divide
from miwake.training.errors import DivergedError
from miwake.training.export import write_artifact
from miwake.training.fit import fit
from miwake.training.run_log import run_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from miwake.indexer.embedder import EmbedderCard
    from miwake.indexer.sources.settings import ReadSettings
    from miwake.training.division import TrainingRows
    from miwake.training.fitted import Fitted, Standing
    from miwake.training.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What a run keeps as it goes, in a folder beside its artifact.

    Attributes
    ----------
    folder : Path
        Of ``log.jsonl``, of ``checkpoint.pt`` until the artifact is written, and of TensorBoard's files.
    resume : bool
        Go on from the checkpoint.
    tensorboard : bool
        Write TensorBoard's files too.
    every_s : float
        Seconds between two checkpoints.
    """

    folder: Path
    resume: bool = False
    tensorboard: bool = False
    every_s: float = SAVE_EVERY_S


def train(
    source: str,
    folder: Path,
    preset: Preset,
    *,
    reading: ReadSettings,
    seed: int = 0,
    keeping: Keeping | None = None,
    report: Callable[[Standing], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> EmbedderCard:
    """Fit ``preset`` to the training rows of ``source`` and write the artifact into ``folder``.

    Parameters
    ----------
    keeping : Keeping or None
        Where the run keeps its log and its checkpoint; None keeps nothing.
    report : callable
        Told how the run stands.
    warn : callable
        Told what deserves a look in the data, a line each.

    Raises
    ------
    DataError, TrainingError
        If the data cannot be read or trained on, there is nothing to go on from, the run diverges, or the export is
        not the network.
    """
    records = read_records(source, reading)
    for warning in records.warnings:
        warn(warning)
    rows = divide(records)
    if keeping is None:
        return write_artifact(folder, fit(rows, preset.settings, seed=seed, report=report), rows, preset, seed=seed)
    checkpoints = Checkpoints(keeping.folder, every_s=keeping.every_s)
    fitted = _kept_fit(rows, preset, keeping, checkpoints, seed=seed, report=report)
    card = write_artifact(folder, fitted, rows, preset, seed=seed)
    checkpoints.remove()
    return card


def _kept_fit(
    rows: TrainingRows,
    preset: Preset,
    keeping: Keeping,
    checkpoints: Checkpoints,
    *,
    seed: int,
    report: Callable[[Standing], None],
) -> Fitted:
    after_step = checkpoints.step() if keeping.resume else 0
    with run_log(keeping.folder, after_step=after_step, tensorboard=keeping.tensorboard) as log:

        def both(standing: Standing) -> None:
            log.report(standing)
            report(standing)

        try:
            return fit(rows, preset.settings, seed=seed, report=both, checkpoints=checkpoints, resume=keeping.resume)
        except DivergedError as error:
            log.diverged(error)
            raise
