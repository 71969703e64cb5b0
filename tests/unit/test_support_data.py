from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.data import VARIABLE, shared_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["boards", "boards.parquet"])
def test_a_file_is_found_in_the_folder_that_the_variable_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "boards.parquet").touch()

    assert shared_data(name) == tmp_path / "boards.parquet"


@pytest.mark.parametrize("is_there", [True, False])
def test_without_the_file_a_test_is_skipped_and_says_which(
    is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path if is_there else tmp_path / "nowhere"
    monkeypatch.setenv(VARIABLE, str(folder))
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match=r"no real data: .*boards\.parquet is not there"):
        shared_data("boards")


def test_a_build_server_fails_where_the_folder_that_it_names_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match=r"MIWAKE_TEST_DATA names .*nowhere, which is not there"):
        shared_data("boards")
