from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from miwake.indexer.records import Records
from miwake.training.mirrors import ALLOWED_MIRRORS, Mirror, harmless_mirrors, turned
from support.blobs import HEAT_MAP_SHAPE, blob_records


def as_it_is(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors


def both_ways_round(records: Records) -> Records:
    """Return the records with every other map mirrored in both directions: orientation means nothing in them."""
    maps = records.vectors.reshape(-1, *records.heat_map_shape).copy()
    rng = np.random.default_rng(5)
    for axes in ((1,), (2,)):
        chosen = rng.random(len(maps)) < 0.5
        maps[chosen] = np.flip(maps[chosen], axes)
    same_kind = np.where(records.labels > 0, 1, 0).astype(np.int32)
    return replace(records, vectors=maps.reshape(len(maps), -1), labels=same_kind)


def test_mirroring_turns_the_map_and_not_the_vector() -> None:
    vector = torch.arange(6.0)[None]
    assert turned(vector, (2, 3), Mirror.LEFT_RIGHT).tolist() == [[2, 1, 0, 5, 4, 3]]
    assert turned(vector, (2, 3), Mirror.UP_DOWN).tolist() == [[3, 4, 5, 0, 1, 2]]
    assert turned(vector, (2, 3), Mirror.HALF_TURN).tolist() == [[5, 4, 3, 2, 1, 0]]


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        (Mirror.DIAGONAL, [0, 3, 6, 1, 4, 7, 2, 5, 8]),
        (Mirror.ANTIDIAGONAL, [8, 5, 2, 7, 4, 1, 6, 3, 0]),
        (Mirror.QUARTER_LEFT, [2, 5, 8, 1, 4, 7, 0, 3, 6]),
        (Mirror.QUARTER_RIGHT, [6, 3, 0, 7, 4, 1, 8, 5, 2]),
    ],
)
def test_a_quarter_turn_is_that_of_the_map(mirror: Mirror, expected: list[float]) -> None:
    assert turned(torch.arange(9.0)[None], (3, 3), mirror).tolist() == [expected]


def test_a_map_that_is_not_square_keeps_its_shape_and_its_middle_when_it_is_turned() -> None:
    spot = torch.zeros(4, 5)
    spot[1:3, 2] = 1.0
    found = turned(spot.view(1, 20), (4, 5), Mirror.DIAGONAL).view(4, 5)
    assert found.tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_long_maps_are_not_thought_of_as_turned() -> None:
    records = blob_records(200)
    wide = replace(records, vectors=np.tile(records.vectors, (1, 2)), heat_map_shape=(24, 13))
    known, asked = wide.take(np.arange(0, 400, 2)), wide.take(np.arange(1, 400, 2))
    flat = replace(known, vectors=np.ones_like(known.vectors)), replace(asked, vectors=np.ones_like(asked.vectors))
    assert harmless_mirrors(as_it_is, flat[1], flat[0]) == ALLOWED_MIRRORS["all"]


def test_no_mirroring_is_allowed_where_the_place_of_a_defect_is_its_label() -> None:
    known, asked = blob_records(300), blob_records(100, seed=1, first_part=300)
    assert known.heat_map_shape == HEAT_MAP_SHAPE
    assert harmless_mirrors(as_it_is, asked, known) == ()


def test_every_mirroring_is_allowed_where_maps_come_either_way_round() -> None:
    known, asked = both_ways_round(blob_records(300)), both_ways_round(blob_records(150, seed=1, first_part=300))
    assert harmless_mirrors(as_it_is, asked, known) == tuple(Mirror)


def test_no_quarter_turn_is_allowed_where_a_mirroring_is_not() -> None:
    labels = (0, 1, 7)  # at the ends of a diagonal: only a mirroring at it keeps each in its place
    known, asked = blob_records(300, labels=labels), blob_records(100, seed=1, first_part=300, labels=labels)
    assert harmless_mirrors(as_it_is, asked, known) == ()


def test_one_oriented_pair_of_rare_classes_forbids_what_would_merge_them() -> None:
    labels = (0, 1, 2)
    known, asked = blob_records(300, labels=labels), blob_records(100, seed=1, first_part=300, labels=labels)
    assert Mirror.LEFT_RIGHT not in harmless_mirrors(as_it_is, asked, known)


def test_one_part_of_either_class_shows_that_they_swap() -> None:
    known, asked = blob_records(300, labels=(0, 1, 2)), blob_records(60, seed=1, first_part=300, labels=(0, 1, 2))
    one_each = [row for label in (1, 2) for row in np.flatnonzero(asked.labels == label)[:2]]
    chosen = np.array([*np.flatnonzero(asked.labels == 0), *one_each])
    assert Mirror.LEFT_RIGHT not in harmless_mirrors(as_it_is, asked.take(chosen), known)


def test_one_part_that_is_missed_when_mirrored_is_chance_however_many_rows_it_has() -> None:
    known, asked = both_ways_round(blob_records(300)), both_ways_round(blob_records(150, seed=1, first_part=300))
    rejects = np.flatnonzero(asked.labels == 1)
    odd = asked.take(np.concatenate([np.flatnonzero(asked.labels == 0), rejects[:12]]))
    of_one_part = replace(
        odd, parts=tuple("one" if label else part for label, part in zip(odd.labels, odd.parts, strict=True))
    )
    assert harmless_mirrors(as_it_is, of_one_part, known) == tuple(Mirror)


def test_without_calibration_rows_nothing_is_mirrored() -> None:
    known = blob_records(60)
    assert harmless_mirrors(as_it_is, known.take(np.zeros(len(known), dtype=np.bool_)), known) == ()
