from __future__ import annotations

import numpy as np

from miwake.indexer.answers import ReferenceMap
from miwake.indexer.residuals.against import against_means, against_templates

SHAPE = (5, 6)
SCALE = (0.0, 200.0)


def maps_of(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 200, (n, 30)).astype(np.float32)


def test_a_vector_is_compared_with_the_template_beside_it_on_the_unit_scale() -> None:
    vectors = maps_of(3, 1)
    templates = vectors.copy()
    templates[1] = np.nan
    templates[2, 8] += 100

    found = against_templates(vectors, templates, SHAPE, SCALE)

    assert found.reference.tolist() == [ReferenceMap.TEMPLATE, ReferenceMap.NONE, ReferenceMap.TEMPLATE]
    np.testing.assert_allclose(found.largest, [0, np.nan, 0.5], atol=1e-6)


def test_of_several_means_the_one_that_a_map_is_most_like_is_compared() -> None:
    means = maps_of(2, 1)
    vectors = np.stack([means[1] * 0.5, means[0]])

    found = against_means(vectors, means, SHAPE, SCALE)

    np.testing.assert_allclose(found.beta, [0.5, 1], atol=1e-4)
    assert found.reference.tolist() == [ReferenceMap.CLASS_MEAN] * 2


def test_without_means_nothing_is_compared() -> None:
    found = against_means(maps_of(2, 1), maps_of(0, 1), SHAPE, SCALE)

    assert found.reference.tolist() == [ReferenceMap.NONE] * 2
    assert np.isnan(found.l2).all()
