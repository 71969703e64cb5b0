"""Making a report and writing it: a page, and beside it a folder with its pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from miwake.indexer.telling import pages
from miwake.training.report.findings import find
from miwake.training.report.learning import read_learning
from miwake.training.report.page import Occasion, report_page
from miwake.training.run_log import LOG_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.embedder import Embedder
    from miwake.training.evaluate import Examination
    from miwake.training.report.page import Report

PAGE_FILE, PICTURE_FOLDER = "report.html", "report-pictures"


def make_report(examined: Examination, embedder: Embedder, *, run_folder: Path, rows: str, command: str) -> Report:
    """Return the report on an examination.

    Parameters
    ----------
    run_folder : Path
        Where the run that fitted the embedder kept its log; without one there are no training curves.
    rows : text
        Which rows were asked.
    command : text
        That makes the report.

    Raises
    ------
    DataError
        If there is a log that cannot be read.
    """
    log = run_folder / LOG_FILE
    learning = read_learning(log) if log.exists() else None
    occasion = Occasion(
        made_at=datetime.now(UTC),
        rows=rows,
        command=command,
        no_log="" if log.exists() else f"No log of the run: {log} is not there.",
    )
    return report_page(find(examined, embedder, learning), occasion)


def write_report(folder: Path, report: Report) -> Path:
    """Write a report into a folder, made where it is missing, and return where the page lies.

    Every file is written whole or not at all, the page last. Pictures of an earlier report go.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    pictures = folder / PICTURE_FOLDER
    for name, png in report.pictures.items():
        pages.write_bytes(pictures / f"{name}.png", png)
    for path in pictures.glob("*.png"):
        if path.stem not in report.pictures:
            path.unlink()
    pages.write(folder / PAGE_FILE, report.html)
    return folder / PAGE_FILE
