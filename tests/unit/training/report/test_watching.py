from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from miwake.indexer.embedder import Embedder
from miwake.indexer.splits import held_out_split
from miwake.training.evaluate import Examination, examine_held_out
from miwake.training.report.watching import health_shares, novelty
from support.blobs import blob_records
from support.embedders import linear_discriminants


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """Return an embedder that has never seen a dent."""
    records = blob_records(200)
    known = held_out_split(records.take(records.labels != 3))[0]
    return linear_discriminants(tmp_path_factory.mktemp("embedder"), known)


@pytest.fixture(scope="module")
def examined(embedder: Embedder) -> Examination:
    """Return an examination in which no reference is a dent, and some queries are."""
    records = blob_records(200)
    is_test = np.array(records.splits) == "test"
    return examine_held_out(embedder, records.take(is_test | (records.labels != 3)))


def test_novelty_is_the_mean_distance_to_the_nearest_references(examined: Examination) -> None:
    found = novelty(examined.trial, examined.queries.parts)

    assert found is not None
    calibration = examined.trial.fits[0].calibration
    asked, known = examined.trial.queries.embeddings, examined.trial.references.embeddings
    distances = np.sort(np.linalg.norm(asked[:, None] - known, axis=2), axis=1)[:, : calibration.n_novelty]
    np.testing.assert_allclose(found.distances, distances.mean(axis=1), rtol=1e-4, atol=1e-5)  # float32
    assert set(found.bound.tolist()) == {calibration.thresholds.novelty_at_most}


def test_new_classes_are_counted_apart(examined: Examination) -> None:
    found = novelty(examined.trial, examined.queries.parts)

    assert found is not None
    assert found.flagged_new is not None
    assert found.flagged_known is not None
    is_dent, beyond = examined.queries.labels == 3, found.distances > found.bound
    assert (found.flagged_new.n_counted, found.flagged_new.n_rows) == ((is_dent & beyond).sum(), is_dent.sum())
    assert (found.flagged_known.n_counted, found.flagged_known.n_rows) == ((~is_dent & beyond).sum(), (~is_dent).sum())


def test_dim_inputs_are_flagged_below_the_limit_of_the_mean(embedder: Embedder) -> None:
    asked = held_out_split(blob_records(200))[1]
    dimmed = asked.vectors.copy()
    dimmed[:7] *= 0.3

    found, before = health_shares(embedder, replace(asked, vectors=dimmed)), health_shares(embedder, asked)

    assert found is not None
    assert before is not None
    assert found.beyond["mean"][0].n_counted == before.beyond["mean"][0].n_counted + 7
    assert found.flagged.n_counted >= 7
    assert found.expected == embedder.card.health.false_alarms if embedder.card.health else False


def test_an_artifact_that_does_not_say_what_is_ordinary_has_no_shares(embedder: Embedder) -> None:
    silent = Embedder(replace(embedder.card, health=None), embedder._session)

    assert health_shares(silent, blob_records(5)) is None
