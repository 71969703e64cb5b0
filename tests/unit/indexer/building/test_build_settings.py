from pathlib import Path

import pytest

from miwake.indexer.building.build_settings import BuildSettings, kept_settings
from miwake.indexer.storage.generation import Contents, publish
from miwake.indexer.storage.station import StationFolder


def station(path: Path, settings: dict[str, object]) -> StationFolder:
    """Return a station whose current generation says it was built with these settings."""
    folder = StationFolder(path / "line1")
    (folder.embedders_path / "e").mkdir(parents=True)

    def write(part: Path) -> Contents:
        (part / "file").write_bytes(b"")
        return Contents(embedder_id="e", base_revision=1, n_references=1, settings=settings)

    publish(folder, write)
    return folder


def test_what_a_station_was_built_with_is_kept(tmp_path: Path) -> None:
    settings = {"n_candidates": 50, "n_voting": 7, "anchors": "class-mean", "anchors_per_class": 2}
    more = {"index_kind": "hnsw", "min_recall": 0.9, "reference_map": "off"}

    kept = kept_settings(station(tmp_path, settings | more))

    assert kept == BuildSettings(
        n_candidates=50,
        n_voting=7,
        anchors="class-mean",
        anchors_per_class=2,
        index_kind="hnsw",
        min_recall=0.9,
        reference_map="off",
    )


def test_what_is_told_counts_more(tmp_path: Path) -> None:
    folder = station(tmp_path, {"n_candidates": 50, "index_kind": "hnsw"})

    kept = kept_settings(folder, n_candidates=60, index_kind=None)

    assert kept == BuildSettings(n_candidates=60, index_kind="hnsw")


def test_what_belongs_to_one_build_is_not_kept(tmp_path: Path) -> None:
    assert kept_settings(station(tmp_path, {"stage": True, "seed": 3, "of_a_later_release": 1})) == BuildSettings()


def test_a_first_build_has_the_defaults(tmp_path: Path) -> None:
    assert kept_settings(StationFolder(tmp_path / "line1"), n_voting=9) == BuildSettings(n_voting=9)


@pytest.mark.parametrize("settings", [{"n_voting": "many"}, {"index_kind": "tree"}, {"min_recall": -1}])
def test_settings_that_cannot_be_used_are_not_kept(tmp_path: Path, settings: dict[str, object]) -> None:
    assert kept_settings(station(tmp_path, settings)) == BuildSettings()


def test_what_is_told_must_fit_what_is_kept(tmp_path: Path) -> None:
    folder = station(tmp_path, {"n_candidates": 50, "n_voting": 40})

    with pytest.raises(ValueError, match="40 voting references of 30 candidates"):
        kept_settings(folder, n_candidates=30)


@pytest.mark.parametrize("wrong", [{"index_kind": "tree"}, {"min_recall": -0.1}])
def test_an_unknown_kind_and_a_negative_share_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected one of auto, flat"):
        BuildSettings(**wrong)  # type: ignore[arg-type]


def test_a_reference_map_of_no_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="reference map 'golden': expected one of auto, off, template, class-mean"):
        BuildSettings(reference_map="golden")  # type: ignore[arg-type]
