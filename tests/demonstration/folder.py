"""The folder that a demonstration writes into, emptied before each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from demonstration.processes import Step, StepError

if TYPE_CHECKING:
    from pathlib import Path

MARK = ".made-by-miwake-demo"


def claim(folder: Path) -> None:
    """Make ``folder`` an empty folder that bears our mark, removing what an earlier demonstration left in it.

    The mark is the last to go and the first to come, so that an interrupted demonstration can be repeated.

    Raises
    ------
    StepError
        If something is there that no demonstration made.
    """
    try:
        if not folder.is_symlink() and not folder.exists():
            folder.mkdir(parents=True)
        elif not _is_ours(folder):
            message = f"{folder} was not made by the demonstration and will not be emptied; move it, or name another"
            raise StepError(Step.PREPARE, message)
        (folder / MARK).touch()
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARK:
                entry.unlink()
    except OSError as error:
        raise StepError(Step.PREPARE, f"{error.filename}: {error.strerror}") from error


def _is_ours(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return (folder / MARK).is_file() or not any(folder.iterdir())
