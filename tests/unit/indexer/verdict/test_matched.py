from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.verdict.matched import compare_matched, escapes_at

IS_REJECT = np.repeat([False, True], [20, 10])


def test_escapes_are_counted_where_so_many_passes_are_called_rejects() -> None:
    scores = np.concatenate([np.arange(20.0), np.full(7, 100.0), [18.5, 18.0, 3.0]])

    none, one, two = (float(escapes_at(scores, IS_REJECT, share, np.ones((1, 30)))[0]) for share in (0.0, 0.05, 0.1))

    assert (none, one, two) == pytest.approx((0.3, 0.2, 0.1))


def test_a_score_that_tells_nothing_catches_nothing() -> None:
    assert escapes_at(np.zeros(30), IS_REJECT, 0.5, np.ones((1, 30)))[0] == 1


def test_the_threshold_is_set_on_the_passes_that_are_drawn() -> None:
    scores = np.concatenate([np.arange(20.0), np.full(10, 15.5)])
    weights = np.ones((2, 30))
    weights[1, 16:20] = 0

    assert escapes_at(scores, IS_REJECT, 0.05, weights).tolist() == [1.0, 0.0]


def test_a_draw_without_rejects_or_passes_says_nothing() -> None:
    weights = np.stack([IS_REJECT, ~IS_REJECT]).astype(np.float64)

    assert np.isnan(escapes_at(np.arange(30.0), IS_REJECT, 0.05, weights)).all()


def drawn(rng: np.random.Generator, apart: float, n_parts: int, pictures: int = 4) -> tuple[np.ndarray, ...]:
    """Return scores, truth and parts of pictures that are as alike as those of one part are."""
    is_reject = np.arange(n_parts) % 2 == 1
    of_part = rng.normal(0, 1, n_parts) + apart * is_reject
    scores = np.repeat(of_part, pictures) + rng.normal(0, 0.1, n_parts * pictures)
    return scores, np.repeat(is_reject, pictures), np.repeat(np.arange(n_parts), pictures)


def test_a_better_score_is_better_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    poor, is_reject, parts = drawn(rng, 1.0, 100)
    good, _, _ = drawn(rng, 5.0, 100)

    found = compare_matched(poor, good, is_reject, parts, overkill_rate=0.05, seed=0)

    assert found.is_beyond_chance
    assert found.gain == pytest.approx(found.without - found.with_terms)
    assert found.low < found.gain < found.high


def test_the_interval_is_over_parts_not_pictures() -> None:
    rng = np.random.default_rng(1)
    one, is_reject, parts = drawn(rng, 2.0, 40, pictures=25)
    other, _, _ = drawn(rng, 2.6, 40, pictures=25)

    of_parts = compare_matched(one, other, is_reject, parts, overkill_rate=0.05, seed=0)
    of_pictures = compare_matched(one, other, is_reject, np.arange(len(parts)), overkill_rate=0.05, seed=0)

    assert of_parts.high - of_parts.low > 2 * (of_pictures.high - of_pictures.low)


def test_equal_scores_gain_nothing() -> None:
    scores, is_reject, parts = drawn(np.random.default_rng(0), 1.0, 30)

    found = compare_matched(scores, scores, is_reject, parts, overkill_rate=0.05, seed=0)

    assert (found.gain, found.low, found.high, found.is_beyond_chance) == (0, 0, 0, False)
