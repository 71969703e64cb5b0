from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import DataError
from miwake.training.report.page import Report
from miwake.training.report.writing import write_report

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_and_its_pictures_are_written_into_a_new_folder(tmp_path: Path) -> None:
    path = write_report(tmp_path / "new" / "report", Report("<p>page", {"confusion": b"png"}))

    assert path == tmp_path / "new" / "report" / "report.html"
    assert path.read_text(encoding="utf-8") == "<p>page"
    assert (path.parent / "report-pictures" / "confusion.png").read_bytes() == b"png"
    assert len(list(tmp_path.rglob("*.part"))) == 0


def test_pictures_of_an_earlier_report_go_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    write_report(tmp_path, Report("first", {"confusion": b"1", "escape-8": b"1"}))
    (tmp_path / "report-pictures" / "notes.txt").write_text("mine")

    write_report(tmp_path, Report("second", {"confusion": b"2"}))

    kept = {path.name: path.read_bytes() for path in (tmp_path / "report-pictures").iterdir()}
    assert kept == {"confusion.png": b"2", "notes.txt": b"mine"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(DataError, match=r"taken.*: cannot be written"):
        write_report(tmp_path / "taken", Report("page", {}))
