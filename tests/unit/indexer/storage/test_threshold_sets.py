from dataclasses import replace
from pathlib import Path

import pytest

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError, StoreError
from miwake.indexer.storage.files import to_json
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.threshold_sets import (
    SetReference,
    StoredSet,
    last_set,
    list_sets,
    next_name,
    read_set,
    reference_to,
    remember,
    sets_path,
    thresholds_of,
    write_set,
)
from miwake.indexer.verdict.calibration import ThresholdSet

GENERATION = "g000001"
MANIFEST = "ab" * 32


def a_set(name: str = "t000001") -> StoredSet:
    return StoredSet(
        generation=GENERATION,
        manifest_sha256=MANIFEST,
        created_at="2026-01-01T00:00:00Z",
        actor="test",
        before="default",
        request={"max_escape": 0.01, "max_escape_of": {"44": 0.1}},
        thresholds=ThresholdSet(
            name=name,
            pass_at_most=0.02,
            reject_at_least=0.7,
            sure_at_least=0.5,
            novelty_at_most=1.5,
            novelty_false_alarms=0.01,
        ),
        evidence={"bounds": []},
    )


@pytest.fixture
def station(tmp_path: Path) -> StationFolder:
    return StationFolder(tmp_path / "line1")


def test_a_set_is_read_as_it_was_written(station: StationFolder) -> None:
    write_set(station, a_set())

    assert read_set(station, GENERATION, "t000001") == a_set().sealed()


def test_sets_are_numbered_for_each_generation(station: StationFolder) -> None:
    assert next_name(station, GENERATION) == "t000001"
    write_set(station, a_set())
    write_set(station, a_set("t000002"))

    assert list_sets(station, GENERATION) == ["t000001", "t000002"]
    assert next_name(station, GENERATION) == "t000003"
    assert next_name(station, "g000002") == "t000001"


def test_a_set_is_never_written_again(station: StationFolder) -> None:
    write_set(station, a_set())

    with pytest.raises(StoreError, match="never changed"):
        write_set(station, replace(a_set(), actor="somebody else"))


@pytest.mark.parametrize("name", ["t000009", "default", "../../CURRENT", "t1", ""])
def test_a_set_that_is_not_there_is_told_with_those_that_are(station: StationFolder, name: str) -> None:
    write_set(station, a_set())

    with pytest.raises(StoreError, match="there are: default, t000001"):
        read_set(station, GENERATION, name)


@pytest.mark.parametrize(
    ("found", "damaged"),
    [("0.02", "0.9"), ('"actor": "test"', '"actor": "evil"'), ("0.02", "0.020"), ("\n", " "), ('"44"', '"45"')],
)
def test_a_changed_byte_is_noticed(station: StationFolder, found: str, damaged: str) -> None:
    write_set(station, a_set())
    path = sets_path(station, GENERATION) / "t000001.json"
    path.write_text(path.read_text().replace(found, damaged, 1))

    with pytest.raises(ArtifactCorruptError, match=r"t000001\.json"):
        read_set(station, GENERATION, "t000001")


def test_a_set_under_another_name_is_noticed(station: StationFolder) -> None:
    write_set(station, a_set())
    folder = sets_path(station, GENERATION)
    (folder / "t000001.json").rename(folder / "t000002.json")

    with pytest.raises(ArtifactCorruptError, match="not as it was written"):
        read_set(station, GENERATION, "t000002")


def test_another_format_is_refused_by_name(station: StationFolder) -> None:
    write_set(station, a_set())
    (sets_path(station, GENERATION) / "t000001.json").write_bytes(to_json(replace(a_set(), format_version=2)))

    with pytest.raises(ArtifactVersionError, match=r"t000001\.json: format version 2"):
        read_set(station, GENERATION, "t000001")


class TestThresholdsOf:
    def test_those_of_a_set_are_found(self, station: StationFolder) -> None:
        reference = write_set(station, a_set())

        assert reference_to(station, GENERATION, "t000001") == reference
        assert thresholds_of(station, GENERATION, MANIFEST, reference) == a_set().thresholds

    def test_the_generations_own_are_none(self, station: StationFolder) -> None:
        assert thresholds_of(station, GENERATION, MANIFEST, SetReference()) is None

    def test_a_set_that_is_gone_is_never_replaced_by_another(self, station: StationFolder) -> None:
        with pytest.raises(ArtifactCorruptError, match="no threshold set 't000001'"):
            thresholds_of(station, GENERATION, MANIFEST, SetReference(name="t000001", sha256="00"))

    def test_a_set_with_another_hash_is_refused(self, station: StationFolder) -> None:
        write_set(station, a_set())

        with pytest.raises(ArtifactCorruptError, match="not the set that was made current"):
            thresholds_of(station, GENERATION, MANIFEST, SetReference(name="t000001", sha256="00"))

    def test_a_set_of_another_build_of_that_name_is_refused(self, station: StationFolder) -> None:
        reference = write_set(station, a_set())

        with pytest.raises(ArtifactCorruptError, match="of another generation"):
            thresholds_of(station, GENERATION, "cd" * 32, reference)


class TestLast:
    def test_by_default_it_is_the_generations_own(self, station: StationFolder) -> None:
        assert last_set(station, GENERATION) == SetReference()

    def test_what_was_remembered_is_found(self, station: StationFolder) -> None:
        remember(station, GENERATION, SetReference(name="t000001", sha256="ab"))
        remember(station, GENERATION, SetReference(name="t000002", sha256="cd"))

        assert last_set(station, GENERATION) == SetReference(name="t000002", sha256="cd")

    def test_nothing_is_written_for_the_generations_own(self, station: StationFolder) -> None:
        remember(station, GENERATION, SetReference())

        assert not sets_path(station, GENERATION).exists()

    def test_a_changed_byte_is_noticed(self, station: StationFolder) -> None:
        remember(station, GENERATION, SetReference(name="t000001", sha256="ab"))
        path = sets_path(station, GENERATION) / "LAST"
        path.write_text(path.read_text() + " ")

        with pytest.raises(ArtifactCorruptError, match="LAST: damaged"):
            last_set(station, GENERATION)
