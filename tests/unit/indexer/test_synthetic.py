from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.records import Records
from miwake.indexer.residuals.against import against_templates
from miwake.indexer.scale import Scale
from miwake.indexer.synthetic.generator import generate

SOURCE_LABELS = {0, 11, 13, 21, 23, 31, 32, 33, 42, 61, 62, 63, 71, 72, 73, 81, 82, 91, 92}


@pytest.fixture(scope="module")
def records() -> Records:
    return generate()


def side(records: Records, name: str) -> np.ndarray:
    return np.asarray(np.array(records.splits) == name)


def test_the_same_seed_gives_the_same_records() -> None:
    first, again, other = generate(n_parts=80), generate(n_parts=80), generate(n_parts=80, seed=1)

    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert first.ids == again.ids
    assert not np.array_equal(first.vectors[:50], other.vectors[:50])


def test_the_training_rows_have_the_labels_of_the_source_data(records: Records) -> None:
    assert set(records.labels[side(records, "train")].tolist()) == SOURCE_LABELS


def test_unknown_kinds_are_in_the_test_rows_only(records: Records) -> None:
    assert set(records.labels[side(records, "test")].tolist()) == SOURCE_LABELS | {98, 99}


def test_no_part_is_on_both_sides(records: Records) -> None:
    sides = defaultdict[str, set[str]](set)
    for part, split in zip(records.parts, records.splits, strict=True):
        sides[part].add(split)

    assert {len(one) for one in sides.values()} == {1}


def test_a_part_has_several_pictures_of_one_kind(records: Records) -> None:
    kinds = defaultdict[str, set[int]](set)
    pictures = defaultdict[str, int](int)
    for part, label in zip(records.parts, records.labels.tolist(), strict=True):
        kinds[part].add(label)
        pictures[part] += 1

    assert {len(one) for one in kinds.values()} == {1}
    assert set(pictures.values()) == {3, 4, 5}


def test_every_label_has_a_failure_mode_of_its_own(records: Records) -> None:
    assert len(set(records.failure_modes)) == len(set(records.labels.tolist()))
    assert len(set(zip(records.labels.tolist(), records.failure_modes, strict=True))) == len(set(records.failure_modes))


def test_classes_are_imbalanced_as_on_a_line(records: Records) -> None:
    shares = {label: float((records.labels == label).mean()) for label in SOURCE_LABELS}

    assert 0.35 < shares[0] < 0.45
    assert min(shares.values()) < 0.02


def test_no_map_is_refused(records: Records) -> None:
    scale = Scale(n_values=36 * 39, low=0, high=255)

    assert not scale.refusals(records.vectors).any()
    assert (records.vectors == np.rint(records.vectors)).all()


def test_it_is_called_synthetic_wherever_it_is_named(records: Records) -> None:
    assert "synthetic" in records.source
    assert all("synthetic" in name for name in (*records.ids[:20], *records.parts[:20], *records.groups[:20]))


def test_another_heat_map_shape_draws_the_same_scene() -> None:
    fine = generate(n_parts=80, heat_map_shape=(72, 78))

    assert fine.vectors.shape[1] == 72 * 78
    assert fine.heat_map_shape == (72, 78)


@pytest.mark.parametrize(("n_parts", "seed"), [(59, 0), (0, 0), (100, -1)])
def test_too_few_parts_or_a_negative_seed_are_refused(n_parts: int, seed: int) -> None:
    with pytest.raises(DataError, match="expected at least 60 parts"):
        generate(n_parts=n_parts, seed=seed)


def test_pictures_of_a_part_share_its_template_and_lie_within_two_cells_of_it() -> None:
    found = generate(n_parts=60, heat_map_shape=(18, 20), with_templates=True)
    assert found.templates is not None
    residuals = against_templates(found.vectors, found.templates, (18, 20), (0.0, 255.0))
    is_pass, largest = found.labels == 0, residuals.standardised_largest

    assert len(np.unique(found.templates, axis=0)) == 60
    assert {abs(one) for one in residuals.shift_rows[is_pass].tolist()} == {0, 1, 2}
    assert np.median(largest[is_pass]) < np.median(largest[~is_pass]) / 1.5
