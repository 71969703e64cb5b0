from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from demonstration.pictures import Case, Maps, draw_case, draw_confusion

if TYPE_CHECKING:
    from pathlib import Path

CASE = Case(
    kind="escape",
    id="board:17",
    true_label=3,
    true_failure_mode="mousebite",
    label=0,
    failure_mode="pass",
    decision="REVIEW",
    probability=0.8125,
    anchor_label=0,
    anchor_failure_mode="pass",
    anchor_distance=3.25,
    reference_id="board:4",
    reference_label=0,
    reference_failure_mode="pass",
    distance=1.5,
    beta=0.98,
    eta=1.25,
    gamma=0.375,
    match_distance=0.25,
)


def maps(shape: tuple[int, int]) -> Maps:
    rng = np.random.default_rng(0)
    measurement, anchor, reference = (rng.random(shape, dtype=np.float32) * 255 for _ in range(3))
    return Maps(measurement=measurement, anchor=anchor, reference=reference)


@pytest.mark.parametrize("shape", [(36, 39), (8, 64), (64, 8)])
def test_a_case_is_a_picture_wide_enough_for_four_heat_maps(tmp_path: Path, shape: tuple[int, int]) -> None:
    draw_case(tmp_path / "case.png", CASE, maps(shape), note="synthetic data")

    with Image.open(tmp_path / "case.png") as picture:
        picture.verify()
        assert picture.format == "PNG"
        assert picture.width == 1400
        assert 270 <= picture.height <= 820


def test_the_difference_of_equal_maps_is_blank_not_an_error(tmp_path: Path) -> None:
    same = np.full((36, 39), 7.0, dtype=np.float32)

    draw_case(tmp_path / "case.png", CASE, Maps(measurement=same, anchor=same, reference=same))

    assert (tmp_path / "case.png").stat().st_size > 10_000


@pytest.mark.parametrize("mode", ["$x^2", "曲がり", "a" * 300, ""])
def test_any_failure_mode_can_be_drawn(tmp_path: Path, mode: str) -> None:
    case = replace(CASE, true_failure_mode=mode, failure_mode=mode, reference_failure_mode=mode)

    draw_case(tmp_path / "case.png", case, maps((36, 39)))

    with Image.open(tmp_path / "case.png") as picture:
        assert picture.width == 1400


def test_a_confusion_matrix_grows_with_its_labels(tmp_path: Path) -> None:
    few, many = [str(label) for label in range(3)], [str(label) for label in range(30)]

    draw_confusion(tmp_path / "few.png", np.eye(3, dtype=np.int64), few, few, "few")
    draw_confusion(tmp_path / "many.png", np.eye(30, dtype=np.int64), many, many, "many")

    with Image.open(tmp_path / "few.png") as picture, Image.open(tmp_path / "many.png") as larger:
        assert picture.width < larger.width < 4000


def test_a_row_without_vectors_is_no_division_by_zero(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "c.png", np.zeros((2, 2), dtype=np.int64), ["0", "1"], ["0", "1"], "empty")

    assert (tmp_path / "c.png").exists()


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    before = mpl.rcParams["font.family"]

    draw_case(tmp_path / "case.png", CASE, maps((36, 39)))

    assert mpl.rcParams["font.family"] == before
