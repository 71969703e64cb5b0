from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import (
    ArtifactCorruptError,
    ArtifactVersionError,
    StationNotFoundError,
    StoreBusyError,
    StoreError,
)
from miwake.indexer.storage.files import sha256_of
from miwake.indexer.storage.generation import (
    MANIFEST_FILE,
    MANIFEST_HASH_FILE,
    Contents,
    activate,
    build_generation,
    open_generation,
    publish,
    verify,
)
from miwake.indexer.storage.station import CURRENT_FILE, Current, StationFolder
from miwake.indexer.storage.store import ReferenceStore
from support.references import make_records, make_station, writes_references

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def station(tmp_path: Path) -> StationFolder:
    return make_station(tmp_path / "line-1")


@pytest.fixture
def published(station: StationFolder) -> StationFolder:
    publish(station, writes_references(station))
    return station


class TestPublish:
    def test_a_published_generation_is_current_and_whole(self, station: StationFolder) -> None:
        manifest = publish(station, writes_references(station))

        folder, opened = open_generation(station)
        assert folder == station.generations_path / "g000001"
        assert opened == manifest
        assert sorted(one.name for one in folder.iterdir()) == [
            "manifest.json",
            "manifest.sha256",
            "references.arrow",
            "vectors.npy",
        ]

    def test_the_manifest_tells_what_the_generation_is(self, station: StationFolder) -> None:
        manifest = publish(station, writes_references(station))

        (embedder,) = station.embedders_path.iterdir()
        assert (manifest.generation, manifest.station, manifest.parent) == ("g000001", "line-1", None)
        assert (manifest.base_revision, manifest.n_references, manifest.embedder_id) == (1, 5, embedder.name)
        assert manifest.embedder_files == {one.name: sha256_of(one) for one in embedder.iterdir()}
        assert sorted(manifest.files) == ["references.arrow", "vectors.npy"]
        assert manifest.created_at.endswith("Z")

    def test_the_next_generation_names_its_parent_and_the_first_stays(self, published: StationFolder) -> None:
        with ReferenceStore.open(published.path) as store:
            store.add(make_records(["more"], seeds=[9]), actor="anna")

        manifest = publish(published, writes_references(published))

        assert (manifest.generation, manifest.parent, manifest.n_references) == ("g000002", "g000001", 6)
        assert published.generations() == ["g000001", "g000002"]
        assert verify(published.generations_path / "g000001").n_references == 5

    def test_a_builder_that_fails_publishes_nothing_and_leaves_nothing(self, published: StationFolder) -> None:
        def fail(folder: Path) -> Contents:
            (folder / "half").write_bytes(b"done")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            publish(published, fail)

        assert published.current().generation == "g000001"
        assert [one.name for one in published.generations_path.iterdir()] == ["g000001"]

    def test_a_disk_that_fails_is_a_store_error(self, published: StationFolder) -> None:
        def fail(folder: Path) -> Contents:
            raise OSError(28, "No space left on device", str(folder / "index.faiss"))

        with pytest.raises(StoreError, match=r"index\.faiss: No space left on device; nothing was published"):
            publish(published, fail)

    def test_an_embedder_that_is_not_installed_is_told(self, station: StationFolder) -> None:
        with pytest.raises(StoreError, match="0123456789ab: no such embedder"):
            publish(station, lambda _: Contents(embedder_id="0123456789ab", base_revision=0, n_references=0))

    def test_a_locked_station_is_busy(self, published: StationFolder) -> None:
        with StationFolder(published.path).lock(), pytest.raises(StoreBusyError):
            publish(published, writes_references(published))

    def test_what_a_killed_build_left_is_removed_and_its_number_is_not_used(self, published: StationFolder) -> None:
        left_over = published.generations_path / ".g000007.part"
        left_over.mkdir()
        (left_over / "half").touch()
        other = published.path / f".{CURRENT_FILE}.123.part"
        other.touch()

        manifest = publish(published, writes_references(published))

        assert manifest.generation == "g000008"
        assert not left_over.exists()
        assert not other.exists()

    def test_the_number_of_a_deleted_current_generation_is_not_used_again(self, published: StationFolder) -> None:
        publish(published, writes_references(published))
        shutil.rmtree(published.generations_path / "g000002")

        assert publish(published, writes_references(published)).generation == "g000003"

    def test_a_damaged_current_does_not_keep_anybody_from_publishing(self, published: StationFolder) -> None:
        (published.path / CURRENT_FILE).write_text("damaged")

        manifest = publish(published, writes_references(published))

        assert (manifest.parent, published.current().generation) == (None, "g000002")

    def test_sha256sum_agrees_with_the_hash_of_the_manifest(self, published: StationFolder) -> None:
        command = shutil.which("sha256sum")
        if command is None:
            pytest.skip("no sha256sum here")

        told = subprocess.run(  # noqa: S603 - a fixed command
            [command, "--check", MANIFEST_HASH_FILE],
            cwd=published.generations_path / "g000001",
            capture_output=True,
            text=True,
            check=False,
        )

        assert told.stdout == "manifest.json: OK\n"


class TestActivate:
    def test_a_generation_that_fails_its_check_does_not_become_current(self, published: StationFolder) -> None:
        def refuse(generation: str) -> None:
            message = f"{generation} cannot be served"
            raise ArtifactCorruptError(message)

        with pytest.raises(ArtifactCorruptError, match="g000002 cannot be served"):
            publish(published, writes_references(published), check=refuse)

        assert published.current().generation == "g000001"

    def test_a_generation_can_be_built_first_and_made_current_later(self, published: StationFolder) -> None:
        manifest = build_generation(published, writes_references(published))
        before = published.current().generation

        activate(published, manifest.generation)

        assert (before, published.current().generation) == ("g000001", "g000002")

    def test_rolling_back_is_activating_an_earlier_generation(self, published: StationFolder) -> None:
        publish(published, writes_references(published))

        activate(published, "g000001")

        assert open_generation(published)[1].generation == "g000001"

    def test_a_generation_that_does_not_exist_is_told_with_those_that_do(self, published: StationFolder) -> None:
        with pytest.raises(StationNotFoundError, match="no generation 'g000009', there are: g000001"):
            activate(published, "g000009")

    def test_a_damaged_generation_is_not_activated(self, published: StationFolder) -> None:
        publish(published, writes_references(published))
        (published.generations_path / "g000001" / "vectors.npy").write_bytes(b"damaged")

        with pytest.raises(ArtifactCorruptError, match=r"g000001/vectors\.npy: damaged"):
            activate(published, "g000001")

        assert published.current().generation == "g000002"


class TestOpen:
    def test_a_named_generation_can_be_opened_beside_the_current_one(self, published: StationFolder) -> None:
        publish(published, writes_references(published))

        assert open_generation(published, "g000001")[1].generation == "g000001"

    def test_a_station_in_which_nothing_was_published_is_told(self, station: StationFolder) -> None:
        with pytest.raises(StationNotFoundError, match="nothing has been published"):
            open_generation(station)

    def test_a_generation_that_does_not_exist_is_told(self, published: StationFolder) -> None:
        with pytest.raises(StationNotFoundError, match="no generation 'g000002'"):
            open_generation(published, "g000002")

    def test_a_current_that_names_a_missing_generation_is_refused(self, published: StationFolder) -> None:
        published.set_current(Current(generation="g000004", manifest_sha256="ab" * 32))

        with pytest.raises(ArtifactCorruptError, match="CURRENT: names g000004, which does not exist"):
            open_generation(published)

    def test_a_current_that_names_another_manifest_is_refused(self, published: StationFolder) -> None:
        published.set_current(Current(generation="g000001", manifest_sha256="ab" * 32))

        with pytest.raises(ArtifactCorruptError, match=r"CURRENT: does not fit .*g000001/manifest\.json"):
            open_generation(published)

    @pytest.mark.parametrize("name", ["embedder.json", "embedder.onnx"])
    def test_a_damaged_embedder_is_refused_by_name(self, published: StationFolder, name: str) -> None:
        (embedder,) = published.embedders_path.iterdir()
        with (embedder / name).open("ab") as file:
            file.write(b" ")

        with pytest.raises(ArtifactCorruptError, match=rf"{name}: damaged"):
            open_generation(published)


class TestVerify:
    @pytest.fixture
    def folder(self, published: StationFolder) -> Path:
        return published.generations_path / "g000001"

    @pytest.mark.parametrize("name", ["references.arrow", "vectors.npy", MANIFEST_FILE, MANIFEST_HASH_FILE])
    def test_a_missing_file_is_named(self, folder: Path, name: str) -> None:
        (folder / name).unlink()

        with pytest.raises(ArtifactCorruptError, match=name):
            verify(folder)

    @pytest.mark.parametrize("name", ["references.arrow", "vectors.npy", MANIFEST_FILE, MANIFEST_HASH_FILE])
    def test_a_byte_more_is_refused_by_name(self, folder: Path, name: str) -> None:
        with (folder / name).open("ab") as file:
            file.write(b"\n")

        with pytest.raises(ArtifactCorruptError, match=name):
            verify(folder)

    def test_a_file_that_is_not_listed_is_named(self, folder: Path) -> None:
        (folder / "extra").touch()

        with pytest.raises(ArtifactCorruptError, match=r"g000001/extra: not listed in manifest\.json"):
            verify(folder)

    def test_another_format_version_is_refused_before_anything_else(self, folder: Path) -> None:
        (folder / MANIFEST_FILE).write_text('{"format_version": 2}')
        (folder / MANIFEST_HASH_FILE).unlink()

        with pytest.raises(ArtifactVersionError, match=r"manifest\.json: format version 2, this release reads 1"):
            verify(folder)

    def test_a_folder_under_another_name_is_refused(self, folder: Path) -> None:
        renamed = folder.rename(folder.with_name("g000002"))

        with pytest.raises(ArtifactCorruptError, match="of generation g000001, expected g000002"):
            verify(renamed)
