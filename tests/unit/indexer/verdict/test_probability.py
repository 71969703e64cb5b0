import numpy as np
import pytest

from miwake.indexer.verdict.probability import Features, ProbabilityModel, fit_probabilities
from miwake.indexer.verdict.votes import Classes


def example(seed: int, n_queries: int = 1500) -> tuple[Features, np.ndarray, Classes]:
    rng = np.random.default_rng(seed)
    classes = Classes.of(np.repeat(np.arange(3, dtype=np.int32), 50), [0])
    truth = rng.integers(0, 3, n_queries)
    by_class = rng.normal(0, 1, (n_queries, 3, 3))
    by_class[np.arange(n_queries), truth, 0] += 1.5
    sides = rng.normal(0, 1, (n_queries, 3))
    sides[:, 0] += np.where(truth > 0, 1.0, -1.0)
    return Features(by_class, sides), truth, classes


def test_probabilities_of_a_query_sum_to_one() -> None:
    features, truth, classes = example(0)

    probabilities = fit_probabilities(features, truth, classes).class_probabilities(features, classes)

    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)


def test_probabilities_are_calibrated_on_other_queries() -> None:
    features, truth, classes = example(0)
    others, other_truth, _ = example(1)
    model = fit_probabilities(features, truth, classes)

    rejects = model.reject_probabilities(others)

    sure = rejects > 0.8
    assert (other_truth[sure] > 0).mean() == pytest.approx(rejects[sure].mean(), abs=0.05)


def test_no_weight_is_negative_even_where_the_evidence_is_misleading() -> None:
    features, truth, classes = example(0)
    misleading = Features(-features.by_class, -features.sides)

    model = fit_probabilities(misleading, truth, classes)

    assert min(*model.class_weights, *model.side_weights) >= 0


def test_more_evidence_for_a_reject_never_lowers_its_probability() -> None:
    features, truth, classes = example(0)
    model = fit_probabilities(features, truth, classes)
    more = Features(features.by_class, features.sides + 0.5)

    assert (model.reject_probabilities(more) >= model.reject_probabilities(features)).all()


def test_perfectly_told_classes_give_finite_weights() -> None:
    classes = Classes.of(np.array([0, 1], dtype=np.int32), [0])
    truth = np.tile([0, 1], 50)
    sides = np.where(truth == 1, 1.0, -1.0)[:, None].repeat(3, axis=1)
    by_class = np.zeros((100, 2, 3))
    by_class[np.arange(100), truth] = 1

    model = fit_probabilities(Features(by_class, sides), truth, classes)

    assert np.isfinite([*model.class_weights, *model.side_weights, model.side_bias]).all()


def test_without_sides_the_classes_share_everything() -> None:
    features, truth, _ = example(0)
    classes = Classes.of(np.repeat(np.arange(3, dtype=np.int32), 50), [])

    model: ProbabilityModel = fit_probabilities(features, truth, classes)

    assert model.side_weights == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(model.class_probabilities(features, classes).sum(axis=1), 1, atol=1e-12)
