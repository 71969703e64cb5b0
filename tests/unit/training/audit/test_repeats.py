from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from miwake.training.audit.repeats import NEAR, equal_groups, near_pairs, normalised
from support.blobs import blob_records


def test_equal_vectors_are_found_by_their_bytes() -> None:
    vectors = np.array([[1, 2], [3, 4], [1, 2], [1, 2.0001]], dtype=np.float32)

    assert equal_groups(vectors) == [[0, 2]]


def test_gain_and_offset_are_taken_out() -> None:
    vectors = np.array([[1, 2, 4]], dtype=np.float32)

    # float32 rounds to about 1e-7 of the values.
    np.testing.assert_allclose(normalised(vectors), normalised(vectors * 3 + 7), atol=1e-6)


def test_near_pairs_are_those_that_comparing_every_pair_finds() -> None:
    records = blob_records(30)
    rng = np.random.default_rng(5)
    vectors = records.vectors.copy()
    vectors[40] = vectors[3] * 0.9 + 4 + rng.normal(0, 0.5, vectors.shape[1])
    vectors[41] = vectors[7] + rng.normal(0, 0.8, vectors.shape[1])
    vectors[42] = vectors[8] + rng.normal(0, 9, vectors.shape[1])
    vectors[43] = vectors[9]
    changed = replace(records, vectors=vectors)

    pairs, differences = near_pairs(changed)

    maps = normalised(vectors)
    expected = {
        (one, other): float(np.linalg.norm(maps[one] - maps[other]))
        for one, other in combinations(range(len(maps)), 2)
        if np.linalg.norm(maps[one] - maps[other]) <= NEAR and (one, other) != (9, 43)
    }
    assert {(3, 40), (7, 41)} <= set(expected)
    assert dict(zip(map(tuple, pairs.tolist()), differences.tolist(), strict=True)) == pytest.approx(expected, abs=1e-6)


def test_data_without_repeats_have_none() -> None:
    pairs, differences = near_pairs(blob_records(30))

    assert len(pairs) == len(differences) == 0
