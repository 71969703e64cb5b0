from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def picture(seed: int, shape: tuple[int, ...] = (4, 5), dtype: type[np.integer[Any]] = np.uint8) -> NDArray[Any]:
    """Return a picture, always the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 250, shape, dtype=dtype)


def save(path: Path, values: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two pictures in each of the classes 0 and 11."""
    for seed, name in enumerate(("0/a.png", "0/b.png", "11/a.png", "11/b.bmp")):
        save(tmp_path / "parts" / name, picture(seed))
    return tmp_path / "parts"


def test_each_image_becomes_a_row_named_by_its_path(folder: Path) -> None:
    records = read_records(folder)

    np.testing.assert_array_equal(records.vectors, [picture(seed).ravel() for seed in range(4)])
    assert records.labels.tolist() == [0, 0, 11, 11]
    assert records.failure_modes == ("0", "0", "11", "11")
    assert records.ids == ("0/a.png", "0/b.png", "11/a.png", "11/b.bmp")
    assert (records.heat_map_shape, records.value_range, records.pass_labels) == ((4, 5), (0.0, 255.0), (0,))
    assert len(records.warnings) == 1
    assert "no part column" in records.warnings[0]


def test_folder_names_that_are_no_integers_are_numbered_in_their_order(tmp_path: Path) -> None:
    for seed, name in enumerate(("scratch", "burr", "good")):
        save(tmp_path / name / "a.png", picture(seed))

    records = read_records(tmp_path, ReadSettings(pass_labels=(1,)))

    assert dict(zip(records.failure_modes, records.labels.tolist(), strict=True)) == {
        "burr": 0,
        "good": 1,
        "scratch": 2,
    }


def test_a_class_that_means_pass_by_the_order_of_names_alone_is_warned_about(tmp_path: Path) -> None:
    save(tmp_path / "burr" / "a.png", picture(0))
    save(tmp_path / "good" / "a.png", picture(1))

    assert (
        "the folder 'burr' has label 0 by the order of names, and so means pass" in read_records(tmp_path).warnings[0]
    )


def test_folders_that_would_share_a_label_are_refused(tmp_path: Path) -> None:
    for seed, name in enumerate(("2", "a", "b")):
        save(tmp_path / name / "a.png", picture(seed))

    with pytest.raises(DataError, match="the folders 2 and b would both have the label 2"):
        read_records(tmp_path)


def test_a_folder_number_beyond_int32_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "4294967296" / "a.png", picture(0))

    with pytest.raises(DataError, match="4294967296 is beyond int32"):
        read_records(tmp_path)


def test_train_and_test_folders_are_splits_and_inner_folders_parts(tmp_path: Path) -> None:
    names = ("test/0/p1/a.png", "test/42/p2/a.png", "train/0/p3/a.png", "train/42/p4/b.png")
    for seed, name in enumerate(names):
        save(tmp_path / name, picture(seed))

    records = read_records(tmp_path)

    assert records.splits == ("test", "test", "train", "train")
    assert records.parts == ("p1", "p2", "p3", "p4")
    assert records.labels.tolist() == [0, 42, 0, 42]
    assert records.warnings == ()


def test_colours_become_grey(tmp_path: Path) -> None:
    save(tmp_path / "0" / "a.png", np.stack([picture(0)] * 3, axis=2))

    np.testing.assert_array_equal(read_records(tmp_path).vectors, [picture(0).ravel()])


def test_sixteen_bits_keep_their_values(tmp_path: Path) -> None:
    values = picture(0, dtype=np.uint16) * 250
    save(tmp_path / "0" / "a.png", values)
    save(tmp_path / "0" / "b.tif", values + 1)

    records = read_records(tmp_path)

    np.testing.assert_array_equal(records.vectors, [values.ravel(), values.ravel() + 1])
    assert records.value_range == (0.0, 65535.0)


def test_images_of_different_depths_are_refused(folder: Path) -> None:
    save(folder / "0" / "deep.png", picture(9, dtype=np.uint16))

    with pytest.raises(DataError, match=r"0/a\.png and 0/deep\.png have different depths"):
        read_records(folder)


def test_an_image_of_another_size_is_named(folder: Path) -> None:
    save(folder / "11" / "big.png", picture(9, (8, 10)))

    with pytest.raises(DataError, match=r"11/big\.png, 8x10 pixels, expected 4x5 as most images have"):
        read_records(folder)


def test_images_are_resized_to_a_told_shape_with_a_warning(folder: Path) -> None:
    save(folder / "11" / "big.png", picture(9, (8, 10)))

    records = read_records(folder, ReadSettings(heat_map_shape=(4, 5)))

    assert records.vectors.shape == (5, 20)
    np.testing.assert_array_equal(records.vectors[0], picture(0).ravel())
    assert records.warnings[0] == f"{folder}: 1 of 5 images resized to 4x5 (Pillow, bilinear)"


@pytest.mark.parametrize("name", ["notes.txt", "empty.png", "cut.png"])
def test_a_file_that_is_no_image_is_named_or_dropped(folder: Path, name: str) -> None:
    whole = (folder / "11" / "a.png").read_bytes()
    content = {"notes.txt": b"seen by the night shift", "empty.png": b"", "cut.png": whole[: len(whole) // 2]}
    (folder / "11" / name).write_bytes(content[name])

    with pytest.raises(DataError, match=rf"1 of 5 rows .*: 11/{name}, not a readable image"):
        read_records(folder)
    assert len(read_records(folder, ReadSettings(skip_bad_rows=True))) == 4


def test_an_image_outside_the_class_folders_is_named(folder: Path) -> None:
    save(folder / "loose.png", picture(9))

    with pytest.raises(DataError, match=r"loose\.png, is in no class folder"):
        read_records(folder)


def test_hidden_files_are_passed_over(folder: Path) -> None:
    (folder / "0" / ".DS_Store").write_bytes(b"x")

    assert len(read_records(folder)) == 4


def test_a_flat_image_is_named(folder: Path) -> None:
    save(folder / "0" / "dark.png", np.zeros((4, 5), dtype=np.uint8))

    with pytest.raises(DataError, match=r"0/dark\.png, flat: all 20 values are 0"):
        read_records(folder)


@pytest.mark.parametrize("names", [[], ["0/notes.txt"]])
def test_a_folder_without_images_is_an_error(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("nothing to see")

    with pytest.raises(DataError, match="it holds no images in class folders"):
        read_records(tmp_path)
