"""What references of a new reject class may not do before a rebuild: keep others from voting, or let anything pass."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.answers import Decision, VerdictBatch
from miwake.indexer.build import build
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.records import Records
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.store import ReferenceStore
from support.blobs import blob_records
from support.embedders import linear_discriminants

BURR = 44


@pytest.fixture(scope="module")
def held_out() -> Records:
    return held_out_split(blob_records(300))[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    training = held_out_split(blob_records(300))[0]
    linear_discriminants(folder / "embedder", training)
    build(folder / "store", "line1", training, folder / "embedder")
    return folder / "store"


@pytest.fixture
def station(tmp_path: Path, built: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "store")) / "line1"


def as_burrs(records: Records, vectors: np.ndarray) -> Records:
    """Return the first records as a class of its own, with other vectors."""
    chosen = records.take(np.arange(len(vectors)))
    names = tuple(f"burr-{row}" for row in range(len(chosen)))
    labels = np.full(len(chosen), BURR, dtype=np.int32)
    vectors = np.ascontiguousarray(vectors.clip(0, 255), dtype=np.float32)
    return replace(chosen, vectors=vectors, labels=labels, failure_modes=names, ids=names, parts=names)


def with_burrs(station: Path, index: InspectionIndex, burrs: Records) -> InspectionIndex:
    with ReferenceStore.open(station) as store:
        store.add(burrs, actor="test")
        return index.with_changes(store.changes(index.base_revision))


def rejects_of(verdicts: VerdictBatch) -> NDArray[np.float32]:
    assert verdicts.reject_probabilities is not None
    return verdicts.reject_probabilities


def close_to(vectors: np.ndarray, n_copies: int, noise: float) -> np.ndarray:
    return np.repeat(vectors, n_copies, axis=0) + np.random.default_rng(2).normal(
        0, noise, (len(vectors) * n_copies, vectors.shape[1])
    )


def test_no_added_reject_turns_an_answer_into_a_pass(station: Path, held_out: Records) -> None:
    index = open_index(station)
    soart3 = replace(index.calibration, method="soart3_vote", rerank=replace(index.calibration.rerank, n_candidates=15))
    index = InspectionIndex(replace(index.contents, calibration=soart3))
    before = index.classify(held_out.vectors)
    rejects = held_out.vectors[held_out.labels != 0]

    after = with_burrs(station, index, as_burrs(held_out, close_to(rejects, 2, 25.0)[:110])).classify(held_out.vectors)

    assert not ((after.labels == 0) & (before.labels != 0)).any()
    assert (rejects_of(after) >= rejects_of(before) - 1e-5).all()
    assert not ((after.decisions == Decision.PASS) & (before.decisions != Decision.PASS)).any()
    assert (after.labels == BURR).any()


def test_added_rejects_make_nothing_near_enough_to_pass(station: Path, held_out: Records) -> None:
    index = open_index(station)
    passes = held_out.vectors[held_out.labels == 0]
    median = float(np.median(index.classify(passes).novelty))
    thresholds = replace(index.calibration.thresholds, novelty_at_most=median, pass_at_most=1.0)
    index = index.with_thresholds(thresholds)
    before = index.classify(passes)
    strangers = before.decisions == Decision.UNKNOWN

    burrs = as_burrs(held_out, close_to(passes[strangers], 1, 12.0))
    live = with_burrs(station, index, burrs)
    after = live.classify(passes)

    came_near = strangers & (after.novelty <= median)
    assert came_near.any()
    assert not (after.decisions[came_near] == Decision.PASS).any()


def test_votes_are_the_same_alone_and_in_a_batch(station: Path, held_out: Records) -> None:
    rejects = held_out.vectors[held_out.labels != 0]
    live = with_burrs(station, open_index(station), as_burrs(held_out, close_to(rejects[:20], 2, 20.0)))
    together = live.classify(held_out.vectors[:20])

    alone = [live.classify(vector[None]) for vector in held_out.vectors[:20]]

    np.testing.assert_array_equal(together.labels, np.concatenate([one.labels for one in alone]))
    np.testing.assert_allclose(rejects_of(together), np.concatenate([rejects_of(one) for one in alone]), atol=1e-4)
    assert np.isfinite(together.neighbours.distances).all()


def test_more_neighbours_than_vote_are_shown_without_gaps(station: Path, held_out: Records) -> None:
    rejects = held_out.vectors[held_out.labels != 0]
    live = with_burrs(station, open_index(station), as_burrs(held_out, close_to(rejects[:20], 2, 20.0)))

    shown = live.classify(held_out.vectors[:8], n_neighbours=120).neighbours

    assert shown.distances.shape == (8, 120)
    assert np.isfinite(shown.distances).all()
