"""Folders of images: one folder a class, its name the failure mode; grey maps, one a file."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from miwake.indexer.errors import DataError
from miwake.indexer.sources.labels import labels_of
from miwake.indexer.sources.raw import RawTable, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.sources.settings import ReadSettings

SPLIT_FOLDERS = frozenset({"train", "test"})
"""Where the top folders are called so and nothing else, they are splits, and the classes are inside."""

RANGE_8_BIT, RANGE_16_BIT = (0.0, 255.0), (0.0, 65535.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    name: str
    split: str
    class_name: str
    part: str
    grey: Image.Image | None
    value_range: tuple[float, float] | None = None
    problem: str = ""


def read_images(folder: Path, settings: ReadSettings) -> RawTable:
    """Read a folder with one folder for each class.

    The label is the folder's name where that is an integer, else its place among the sorted names of the folders.
    A folder inside a class folder names the part. Colours become grey. All images have one size, the heat-map shape;
    where ``settings`` names one, other sizes are resized to it, and a warning says so. Ids are the files' paths.

    Raises
    ------
    DataError
        If the folder holds no class folders, two of them get the same label, or the images are on different scales.
        A file that is no image, or of another size, is a bad row.
    """
    paths = _find_files(folder)
    has_splits = {path.relative_to(folder).parts[0] for path in paths} == SPLIT_FOLDERS
    pictures = [_open(folder, path, has_splits=has_splits) for path in paths]
    if not any(picture.grey for picture in pictures):
        said = f": {pictures[0].name}: {pictures[0].problem}" if pictures else ", expected one folder for each class"
        message = f"{folder}: it holds no images in class folders{said}"
        raise DataError(message)
    value_range = _common_range(folder, pictures)
    shape = settings.heat_map_shape or _common_shape(pictures)
    vectors, problems, n_resized = _stack(pictures, shape, may_resize=settings.heat_map_shape is not None)
    labels = _labels(folder, pictures)
    resized = f"{folder}: {n_resized:,} of {len(pictures):,} images resized to {shape[0]}x{shape[1]} (Pillow, bilinear)"
    return RawTable(
        source=str(folder),
        stem=folder.name,
        vectors=vectors,
        value_name="pixel {}",
        labels=labels,
        texts=_texts(pictures, settings),
        problems=problems,
        row_names=tuple(picture.name for picture in pictures),
        heat_map_shape=shape,
        value_range=value_range,
        warnings=((resized,) if n_resized else ()) + _told_pass(folder, pictures, labels, settings),
    )


def _find_files(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        message = f"{folder}: cannot be read: {error.strerror}"
        raise DataError(message) from error
    return [path for path in found if not any(one.startswith(".") for one in path.relative_to(folder).parts)]


def _open(folder: Path, path: Path, *, has_splits: bool) -> _Picture:
    steps = path.relative_to(folder).parts[:-1]
    split, steps = (steps[0], steps[1:]) if has_splits and steps else ("", steps)
    name = path.relative_to(folder).as_posix()
    class_name, part = (steps[0], "/".join(steps[1:])) if steps else ("", "")
    grey, value_range, problem = _read_grey(path) if steps else (None, None, "is in no class folder")
    return _Picture(
        name=name, split=split, class_name=class_name, part=part, grey=grey, value_range=value_range, problem=problem
    )


def _read_grey(path: Path) -> tuple[Image.Image | None, tuple[float, float] | None, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd about a file that can be read all the same
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.mode == "F":
                    return image.copy(), None, ""
                if image.mode.startswith("I"):
                    return image.convert("F"), RANGE_16_BIT, ""
                return image.convert("L"), RANGE_8_BIT, ""
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return None, None, f"not a readable image: {one_line(error)}"


def _stack(
    pictures: Sequence[_Picture], shape: tuple[int, int], *, may_resize: bool
) -> tuple[NDArray[np.float32], dict[int, str], int]:
    """Return (N, V) vectors, what is wrong with single pictures, and how many were resized."""
    vectors = np.full((len(pictures), shape[0] * shape[1]), np.nan, dtype=np.float32)
    problems: dict[int, str] = {}
    n_resized = 0
    for row, picture in enumerate(pictures):
        if picture.grey is None:
            problems[row] = picture.problem
            continue
        found = (picture.grey.height, picture.grey.width)
        if found != shape and not may_resize:
            problems[row] = f"{found[0]}x{found[1]} pixels, expected {shape[0]}x{shape[1]} as most images have"
            continue
        vectors[row] = _values(picture.grey, shape)
        n_resized += found != shape
    return vectors, problems, n_resized


def _values(grey: Image.Image, shape: tuple[int, int]) -> NDArray[np.float32]:
    rows, columns = shape
    if (grey.height, grey.width) != shape:
        grey = grey.resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(grey, dtype=np.float32).ravel()


def _common_shape(pictures: Sequence[_Picture]) -> tuple[int, int]:
    sizes = Counter((picture.grey.height, picture.grey.width) for picture in pictures if picture.grey)
    return sizes.most_common(1)[0][0]


def _common_range(folder: Path, pictures: Sequence[_Picture]) -> tuple[float, float] | None:
    example: dict[tuple[float, float] | None, str] = {}
    for picture in pictures:
        if picture.grey:
            example.setdefault(picture.value_range, picture.name)
    if len(example) > 1:
        first, second = list(example.values())[:2]
        message = f"{folder}: {first} and {second} have different depths, expected one scale in all images"
        raise DataError(message)
    return next(iter(example))


def _labels(folder: Path, pictures: Sequence[_Picture]) -> NDArray[np.int32]:
    names = sorted({picture.class_name for picture in pictures if picture.class_name})
    label_of: dict[str, int] = {"": 0}
    taken: dict[int, str] = {}
    for place, name in enumerate(names):
        label = int(name) if _is_integer(name) else place
        if label in taken:
            message = f"{folder}: the folders {taken[label]} and {name} would both have the label {label}"
            raise DataError(message)
        taken[label] = name
        label_of[name] = label
    labels, problems = labels_of("folder", [label_of[picture.class_name] for picture in pictures])
    if problems:
        message = f"{folder}: {next(iter(problems.values()))}"
        raise DataError(message)
    return labels


def _told_pass(
    folder: Path, pictures: Sequence[_Picture], labels: NDArray[np.int32], settings: ReadSettings
) -> tuple[str, ...]:
    """Return a warning where the order of names alone makes a class the one that means *pass*."""
    classes = (picture.class_name for picture, label in zip(pictures, labels, strict=True) if label == 0)
    name = next(filter(None, classes), "")
    if not name or _is_integer(name) or settings.pass_labels is not None:
        return ()
    return (f"{folder}: the folder {name!r} has label 0 by the order of names, and so means pass; --pass-labels tells",)


def _is_integer(name: str) -> bool:
    return name.isascii() and name.removeprefix("-").isdigit()


def _texts(pictures: Sequence[_Picture], settings: ReadSettings) -> dict[str, tuple[str, ...]]:
    texts = {
        "id": tuple(picture.name for picture in pictures),
        "failure_mode": tuple(picture.class_name for picture in pictures),
    }
    if settings.split_column:
        texts["split"] = tuple(picture.split for picture in pictures)
    if settings.part_column and any(picture.part for picture in pictures):
        texts["part"] = tuple(picture.part for picture in pictures)
    return texts
