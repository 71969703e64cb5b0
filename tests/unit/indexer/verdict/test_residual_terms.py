from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from miwake.indexer.answers import ReferenceMap, ResidualBatch
from miwake.indexer.verdict.probability import Features, ProbabilityModel
from miwake.indexer.verdict.residual_terms import (
    TERMS,
    ResidualModel,
    ResidualTerms,
    fit_residual_model,
    label_cut,
    on_their_side,
    reject_probabilities,
    terms_of,
)

MODEL = ResidualModel(
    side_weights=(0.0, 0.0, 0.0),
    term_weights=dict.fromkeys(TERMS, 0.0) | {"largest": 2.0},
    bias=0.0,
    label_reject_at_least=0.5,
)
PASSES = np.array([True, False, False])


def batch(**columns: list[float]) -> ResidualBatch:
    n = len(next(iter(columns.values())))
    found = {name: np.array(columns.get(name, [0.5] * n), dtype=np.float32) for name in ("beta", *TERMS[1:])}
    nothing = np.zeros(n, dtype=np.int8)
    reference = np.full(n, ReferenceMap.TEMPLATE, dtype=np.uint8)
    return ResidualBatch(reference=reference, shift_rows=nothing, shift_columns=nothing, **found)


def example(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sides, terms and truth of queries whose largest residual tells more than their sides."""
    rng = np.random.default_rng(seed)
    is_reject = rng.random(n) < 0.5
    sides = rng.normal(0, 1, (n, 3)) + is_reject[:, None]
    terms = rng.normal(0, 1, (n, len(TERMS)))
    terms[:, TERMS.index("largest")] += 4 * is_reject
    terms[:, TERMS.index("gamma")] -= is_reject
    return sides, terms, is_reject


def test_terms_are_logarithms_and_the_scale_is_told_from_1() -> None:
    found = terms_of(batch(beta=[0.5, 1.5, 1.0], l2=[0.0, 1.0, 2.0]))

    np.testing.assert_allclose(np.exp(found.values[:, 0]), [0.501, 0.501, 0.001], atol=1e-6)
    np.testing.assert_allclose(np.exp(found.values[:, TERMS.index("l2")]), [0.001, 1.001, 2.001], rtol=1e-6)


def test_a_query_without_a_reference_map_has_no_terms() -> None:
    residuals = batch(l2=[1.0, np.nan])
    residuals = replace(residuals, reference=np.array([1, 0], dtype=np.uint8))

    found = terms_of(residuals)

    assert found.is_there.tolist() == [True, False]
    assert np.isfinite(found.values).all()


def test_the_terms_that_tell_are_weighed_and_none_is_negative() -> None:
    sides, terms, is_reject = example(0)

    model = fit_residual_model(sides, terms, is_reject)

    assert max(model.term_weights, key=model.term_weights.__getitem__) == "largest"
    assert min(*model.side_weights, *model.term_weights.values()) >= 0
    assert model.term_weights["gamma"] == 0


def test_probabilities_with_terms_are_calibrated_on_other_queries() -> None:
    model = fit_residual_model(*example(0))
    sides, terms, is_reject = example(1)

    found = model.reject_probabilities(sides, terms)

    middling = (found > 0.2) & (found < 0.8)
    assert is_reject[middling].mean() == pytest.approx(found[middling].mean(), abs=0.15)
    assert (is_reject == (found >= 0.5)).mean() > 0.97


def test_queries_without_a_map_are_answered_as_without_terms() -> None:
    sides = np.array([[2.0, 0, 0], [2.0, 0, 0]])
    plain = ProbabilityModel(class_weights=(1, 1, 1), side_weights=(1.0, 0, 0))
    terms = ResidualTerms(np.zeros((2, len(TERMS))), np.array([True, False]))

    found = reject_probabilities(plain, MODEL, Features(np.zeros((2, 2, 3)), sides), terms)

    np.testing.assert_allclose(found, [0.5, 1 / (1 + np.exp(-2))])


@pytest.mark.parametrize(
    ("n_overkills", "n_escapes", "low", "high"),
    [(1, 2, 0.5, 0.5), (0, 2, 0.8, 0.9), (4, 0, 0.2, 0.3)],
)
def test_the_cut_of_the_label_is_even_unless_an_error_were_more_frequent(
    n_overkills: int, n_escapes: int, low: float, high: float
) -> None:
    passes, rejects = [0.05, 0.1, 0.2, 0.4, 0.8], [0.3, 0.45, 0.9, 0.95, 0.99]
    scores, is_pass = np.array(passes + rejects), np.repeat([True, False], 5)

    cut = label_cut(scores, is_pass, n_overkills=n_overkills, n_escapes=n_escapes)

    assert cut is not None
    assert low <= cut <= high
    assert ((scores[is_pass] >= cut).sum(), (scores[~is_pass] < cut).sum()) <= (n_overkills, n_escapes)


def test_there_is_no_cut_where_one_error_must_be_more_frequent() -> None:
    assert label_cut(np.array([0.8, 0.3]), np.array([True, False]), n_overkills=0, n_escapes=0) is None


def test_a_label_on_the_other_side_becomes_the_most_probable_of_that_side() -> None:
    answered = np.array([0, 0, 2, 1])
    probabilities = np.array([[0.2, 0.3, 0.5], [0.9, 0.05, 0.05], [0.9, 0.0, 0.1], [0.1, 0.4, 0.5]])
    rejects = np.array([0.8, 0.1, 0.1, 0.9])
    terms = ResidualTerms(np.zeros((4, len(TERMS))), np.full(4, fill_value=True))

    found = on_their_side(answered, probabilities, rejects, PASSES, MODEL, terms)

    assert found.tolist() == [2, 0, 0, 1]


@pytest.mark.parametrize(
    ("model", "is_there"), [(MODEL, False), (replace(MODEL, label_reject_at_least=None), True), (None, True)]
)
def test_a_label_stays_where_no_terms_call_a_side(model: ResidualModel | None, is_there: bool) -> None:
    terms = ResidualTerms(np.zeros((1, len(TERMS))), np.array([is_there]))

    found = on_their_side(np.array([0]), np.array([[0.2, 0.8, 0.0]]), np.array([0.9]), PASSES, model, terms)

    assert found.tolist() == [0]
