"""Small trials of random vectors: three classes whose embeddings lie around three places."""

from __future__ import annotations

import numpy as np

from miwake.indexer.anchors import Anchors
from miwake.indexer.assessing.trial import Fit, Trial
from miwake.indexer.verdict.calibration import (
    Calibration,
    Evidence,
    RerankSettings,
    Space,
    ThresholdSet,
    VoteSettings,
)
from miwake.indexer.verdict.match import MatchHistogram, MatchMix
from miwake.indexer.verdict.measuring import Sample
from miwake.indexer.verdict.probability import ProbabilityModel

MIX = MatchMix(scale_weight=2.0, deviation_weight=1.5, spread_weight=0.5, bias=-1.0)
CLASSES = (0, 4, 5)
VALUE_RANGE = (0.0, 10.0)


def calibration(space: Space = "embedding", *, p_gamma: int = 6) -> Calibration:
    """Return a calibration whose mix is ``MIX``; nothing was fitted."""
    return Calibration(
        rerank=RerankSettings(space=space, p_gamma=p_gamma),
        mix=MIX,
        vote=VoteSettings(n_voting=5, bandwidth=0.5),
        probability=ProbabilityModel(class_weights=(1.0, 1.0, 1.0), side_weights=(0.5, 0.5, 0.5)),
        method="vote",
        n_novelty=5,
        thresholds=ThresholdSet(
            name="default",
            pass_at_most=0.1,
            reject_at_least=0.5,
            sure_at_least=0.5,
            novelty_at_most=1.0,
            novelty_false_alarms=0.01,
        ),
        evidence=Evidence(
            n_rows=0,
            n_parts=0,
            n_references=0,
            n_not_covered=0,
            methods={},
            rerank_accuracy={},
            calibration_error=0.0,
            histogram=MatchHistogram(matching=(), mismatching=()),
        ),
    )


def sample(labels: np.ndarray, rng: np.random.Generator, *, is_unit: bool = False) -> Sample:
    """Return rows with embeddings of 4 dimensions and vectors of 6 values."""
    places = np.eye(4)[np.searchsorted(CLASSES, labels) % 4]
    embeddings = (places + rng.normal(0, 0.5, places.shape)).astype(np.float32)
    if is_unit:
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    vectors = rng.uniform(*VALUE_RANGE, (len(labels), 6)).astype(np.float32)
    return Sample(embeddings=embeddings, vectors=vectors, labels=labels, value_range=VALUE_RANGE)


def random_trial(
    n_queries: int = 40, n_references: int = 90, *, seed: int = 0, is_unit: bool = False, space: Space | None = None
) -> Trial:
    """Return a trial whose queries share ten parts with the references; two fits where a space is named."""
    rng = np.random.default_rng(seed)
    queries = sample(rng.choice(CLASSES, n_queries).astype(np.int32), rng, is_unit=is_unit)
    references = sample(rng.choice(CLASSES, n_references).astype(np.int32), rng, is_unit=is_unit)
    rows = [references.labels == label for label in CLASSES]
    means = np.stack([references.vectors[one].mean(axis=0) for one in rows])
    embedded = np.stack([references.embeddings[one].mean(axis=0) for one in rows])
    labels = np.array(CLASSES, dtype=np.int32)
    halves = np.arange(0, n_queries, 2), np.arange(1, n_queries, 2)
    return Trial(
        queries,
        references,
        {
            "class-mean": Anchors(labels, means, embedded + np.float32(0.1)),
            "mean-embedding": Anchors(labels, means, embedded, kind="mean-embedding"),
        },
        rng.integers(-1, 10, n_queries),
        rng.integers(-1, 10, n_references),
        ()
        if space is None
        else tuple(Fit(half, calibration(space, p_gamma=p)) for half, p in zip(halves, (6, 4), strict=True)),
    )
