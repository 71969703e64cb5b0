"""Filtered, set and exhaustive searches of a live index of every kind against comparing everything by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from miwake.indexer.build import build
from miwake.indexer.filters import Filter, LabelIn
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.records import Records
from miwake.indexer.search.kinds import build_kind, efforts
from miwake.indexer.search.options import SearchOptions
from miwake.indexer.search.proposing import ReferenceIndex
from miwake.indexer.soart3 import plain as soart3
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.reading import Snapshot
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.verdict.match import MatchMix
from support.blobs import blob_records
from support.embedders import linear_discriminants
from support.filters import filters, holds, time_text

KINDS = ["flat", "ivf-flat", "hnsw", "ivf-pq"]
N_QUERIES = 3
K = 6


def varied(records: Records) -> Records:
    """Return the records with groups and times of all sorts."""
    rows = range(len(records))
    return replace(
        records,
        groups=tuple(["lot 1", "lot 2", ""][row % 3] for row in rows),
        times=tuple(time_text(row % 50) for row in rows),
    )


@dataclass(frozen=True)
class Truth:
    """Every live reference, and the queries as float64 in either space."""

    snapshot: Snapshot
    embedded: NDArray[np.float64]
    embeddings: NDArray[np.float64]
    maps: NDArray[np.float64]
    map_references: NDArray[np.float64]

    def nearest_ids(
        self, index: InspectionIndex, rows: NDArray[np.intp], options: SearchOptions, n_neighbours: int = K
    ) -> list[list[str]]:
        """Return the ids of the best matches among the nearest of the given rows, or among all of them."""
        rerank = options.applied_to(index.calibration.rerank)
        distances = np.linalg.norm(self.embedded[:, None] - self.embeddings[rows], axis=2)
        n_candidates = len(rows) if options.exhaustive else max(rerank.n_candidates, n_neighbours)
        candidates = rows[np.argsort(distances, axis=1, kind="stable")[:, :n_candidates]]
        is_embedding = rerank.space == "embedding"
        found = soart3.measures(
            self.embedded if is_embedding else self.maps,
            (self.embeddings if is_embedding else self.map_references)[candidates],
            p_eta=rerank.p_eta,
            p_gamma=rerank.p_gamma,
        )
        scores = (options.mix or index.calibration.mix).scores(found.beta, found.eta, found.gamma)
        order = np.argsort(scores, axis=1, kind="stable")[:, :n_neighbours]
        best = np.take_along_axis(candidates, order, axis=1)
        return [[self.snapshot.ids[row] for row in one] for one in best.tolist()]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    records = varied(held_out_split(blob_records(400))[0])
    linear_discriminants(folder / "embedder", records)
    build(folder, "line1", records, folder / "embedder")
    return folder / "line1"


@pytest.fixture(scope="module")
def live(station: Path) -> tuple[InspectionIndex, Truth]:
    """Return the index after additions from another source, relabellings and removals, and the plain truth of it."""
    index = open_index(station)
    later = replace(varied(blob_records(30, seed=9, first_part=5000)), source="later.npz")
    with ReferenceStore.open(station) as store:
        store.add(later, actor="test")
        store.relabel(index.contents.references.ids(np.arange(0, 640, 40)), 44, "new burr", actor="test")
        store.remove([*index.contents.references.ids(np.arange(1, 640, 16)), *later.ids[:3]], actor="test")
        index = index.with_changes(store.changes(index.base_revision))
        snapshot = store.snapshot()
    vectors = blob_records(6, seed=77, first_part=9000).vectors[: 2 * N_QUERIES : 2]
    embed = index.contents.embedder.embed
    truth = Truth(
        snapshot=snapshot,
        embedded=embed(vectors).astype(np.float64),
        embeddings=embed(snapshot.vectors).astype(np.float64),
        maps=vectors.astype(np.float64) / 255,
        map_references=snapshot.vectors.astype(np.float64) / 255,
    )
    return index, truth


@pytest.fixture(scope="module", params=KINDS)
def of_kind(request: pytest.FixtureRequest, live: tuple[InspectionIndex, Truth], station: Path) -> InspectionIndex:
    """Return the live index with FAISS of a kind."""
    contents = open_index(station).contents
    if request.param != "flat":
        embeddings = np.array(contents.embeddings)
        found, settled = build_kind(request.param, embeddings, seed=0)
        parameters = list(efforts(request.param, settled))[-1]
        contents = replace(contents, faiss_index=ReferenceIndex(embeddings, found, parameters))
    with ReferenceStore.open(station) as store:
        return InspectionIndex(contents).with_changes(store.changes(live[0].base_revision))


def asked_vectors(truth: Truth) -> NDArray[np.float32]:
    return np.asarray((truth.maps * 255).round(), dtype=np.float32)


FILTERS = filters(
    labels=[0, 1, 2, 3, 7, 44, 99],
    failure_modes=["pass", "burr", "dent", "new burr", "unheard of"],
    parts=["part 3", "part 17", "part 5001", "part 5020"],
    groups=["lot 1", "lot 2", ""],
    sources=["blobs (seed 0)", "later.npz", "none.csv"],
    n_hours=50,
)
MIXES = st.builds(
    MatchMix,
    scale_weight=st.floats(0, 9),
    deviation_weight=st.floats(0.5, 9),
    spread_weight=st.floats(-3, 3),
    bias=st.floats(-3, 3),
)
OPTIONS = st.builds(
    SearchOptions,
    p_eta=st.none() | st.integers(1, 8),
    p_gamma=st.none() | st.integers(1, 8),
    space=st.sampled_from([None, "embedding", "raw"]),
    mix=st.none() | MIXES,
    n_candidates=st.none() | st.integers(K, 300),
) | st.builds(SearchOptions, space=st.sampled_from([None, "raw"]), mix=st.none() | MIXES, exhaustive=st.just(True))


@given(where=FILTERS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_filtered_search_is_a_search_of_what_it_lets_through(
    of_kind: InspectionIndex, live: tuple[InspectionIndex, Truth], where: Filter
) -> None:
    truth = live[1]
    rows = np.array([row for row in range(len(truth.snapshot)) if holds(where, truth.snapshot, row)], dtype=np.intp)

    batch = of_kind.search(asked_vectors(truth), n_neighbours=K, where=where)

    expected = truth.nearest_ids(of_kind, rows, SearchOptions()) if len(rows) else [[]] * N_QUERIES
    assert [list(ids) for ids in batch.ids] == expected


@given(where=st.none() | FILTERS, options=OPTIONS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_options_do_what_the_plain_twin_does(
    of_kind: InspectionIndex, live: tuple[InspectionIndex, Truth], where: Filter | None, options: SearchOptions
) -> None:
    truth = live[1]
    rows = np.array(
        [row for row in range(len(truth.snapshot)) if where is None or holds(where, truth.snapshot, row)], dtype=np.intp
    )

    batch = of_kind.search(asked_vectors(truth), n_neighbours=K, where=where, options=options)

    expected = truth.nearest_ids(of_kind, rows, options) if len(rows) else [[]] * N_QUERIES
    assert [list(ids) for ids in batch.ids] == expected
    assert (np.diff(batch.match_distances, axis=1) >= 0).all()


@given(options=OPTIONS)
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_options_change_what_is_shown_and_never_the_verdict(
    live: tuple[InspectionIndex, Truth], options: SearchOptions
) -> None:
    index, truth = live
    usual = index.classify(asked_vectors(truth), n_neighbours=K)

    verdicts = index.classify(asked_vectors(truth), n_neighbours=K, options=options)

    shown = index.search(asked_vectors(truth), n_neighbours=K, options=options)
    assert verdicts.neighbours.ids == shown.ids
    assert verdicts.failure_modes == usual.failure_modes
    for name in ("labels", "decisions", "probabilities", "novelty", "anchor_distances", "method_labels"):
        np.testing.assert_array_equal(getattr(verdicts, name), getattr(usual, name))


@pytest.mark.parametrize("options", [SearchOptions(), SearchOptions(exhaustive=True), SearchOptions(space="raw")])
def test_a_verdict_may_come_without_neighbours(live: tuple[InspectionIndex, Truth], options: SearchOptions) -> None:
    index, truth = live

    verdicts = index.classify(asked_vectors(truth), n_neighbours=0, options=options)

    assert verdicts.neighbours.ids == ((),) * N_QUERIES
    np.testing.assert_array_equal(verdicts.labels, index.classify(asked_vectors(truth)).labels)


def test_a_verdict_does_not_depend_on_the_number_of_neighbours_shown(live: tuple[InspectionIndex, Truth]) -> None:
    index, truth = live

    many = index.classify(asked_vectors(truth), n_neighbours=400)

    assert many.neighbours.labels.shape == (N_QUERIES, 400)
    np.testing.assert_array_equal(many.probabilities, index.classify(asked_vectors(truth)).probabilities)


def test_a_filter_of_a_removed_class_finds_nothing(live: tuple[InspectionIndex, Truth]) -> None:
    index, truth = live

    batch = index.search(asked_vectors(truth), where=LabelIn((12345,)))

    assert batch.ids == ((),) * N_QUERIES
    assert batch.labels.shape == batch.distances.shape == batch.positions.shape == (N_QUERIES, 0)
