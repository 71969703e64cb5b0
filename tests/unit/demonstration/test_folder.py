from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demonstration.folder import claim
from demonstration.processes import StepError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    claim(tmp_path / "new" / "demo")

    assert (tmp_path / "new" / "demo").is_dir()


def test_what_an_earlier_demonstration_left_is_removed(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    claim(demo)
    (demo / "pictures").mkdir()
    (demo / "pictures" / "escape-1.png").touch()
    (demo / "summary.json").touch()

    claim(demo)

    assert [entry.name for entry in demo.iterdir()] == [".made-by-miwake-demo"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(StepError, match="was not made by the demonstration"):
        claim(tmp_path)

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    claim(tmp_path / "real")
    (tmp_path / "real" / "summary.json").touch()
    (tmp_path / "demo").symlink_to(tmp_path / "real")

    with pytest.raises(StepError, match="was not made by the demonstration"):
        claim(tmp_path / "demo")

    assert (tmp_path / "real" / "summary.json").exists()


def test_a_link_inside_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    claim(tmp_path / "demo")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.parquet").touch()
    (tmp_path / "demo" / "data").symlink_to(tmp_path / "data")

    claim(tmp_path / "demo")

    assert (tmp_path / "data" / "rows.parquet").exists()
    assert not (tmp_path / "demo" / "data").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo").touch()

    with pytest.raises(StepError, match=r"preparing the folder failed: .*demo was not made"):
        claim(tmp_path / "demo")
