from __future__ import annotations

import gc
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.answers import Decision
from miwake.indexer.build import build, rebuild
from miwake.indexer.canaries import read_canaries
from miwake.indexer.errors import (
    ArtifactCorruptError,
    CalibrationError,
    EmbedderError,
    ReferenceConflictError,
    StoreError,
)
from miwake.indexer.filters import LabelIn
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.records import Records
from miwake.indexer.search.rows import to_unit_scale
from miwake.indexer.soart3 import plain as soart3
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.reading import Snapshot
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from support.blobs import blob_records
from support.embedders import linear_discriminants

BURR = 44
"""A label that the data does not have."""


@pytest.fixture(scope="module")
def data() -> tuple[Records, Records]:
    return held_out_split(blob_records(400))


@pytest.fixture(scope="module")
def embedder_folder(tmp_path_factory: pytest.TempPathFactory, data: tuple[Records, Records]) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    linear_discriminants(folder, data[0])
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, data: tuple[Records, Records], embedder_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("store")
    build(folder, "line1", data[0], embedder_folder)
    return folder


@pytest.fixture
def own_store(tmp_path: Path, store: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "store"))


@pytest.fixture(scope="module")
def index(store: Path) -> InspectionIndex:
    return open_index(store / "line1")


def queries(data: tuple[Records, Records], n_queries: int = 60) -> np.ndarray:
    return data[1].vectors[:n_queries]


def new_class(records: Records, n_records: int = 40) -> Records:
    """Return records of a class of its own: pass maps with two bright squares, as no other class has them."""
    chosen = records.take(np.flatnonzero(records.labels == 0)[:n_records])
    maps = chosen.vectors.copy().reshape(-1, *records.heat_map_shape)
    maps[:, 2:5, 2:5] += 90
    maps[:, 7:10, 8:11] += 90
    return replace(
        chosen,
        vectors=np.ascontiguousarray(maps.clip(0, 255).reshape(len(chosen), -1)),
        labels=np.full(len(chosen), BURR, dtype=np.int32),
        failure_modes=("burr",) * len(chosen),
        ids=tuple(f"burr-{row}" for row in range(len(chosen))),
        parts=tuple(f"burr part {row}" for row in range(len(chosen))),
    )


def nearest_by_hand(
    index: InspectionIndex, snapshot: Snapshot, vectors: np.ndarray, n_neighbours: int
) -> tuple[list[list[str]], np.ndarray]:
    """Return ids and distances of the neighbours, from every reference of a snapshot, in float64."""
    embedded = index.contents.embedder.embed(vectors).astype(np.float64)
    references = index.contents.embedder.embed(snapshot.vectors).astype(np.float64)
    distances = np.linalg.norm(embedded[:, None] - references, axis=2)
    candidates = np.argsort(distances, axis=1, kind="stable")[:, : index.calibration.rerank.n_candidates]
    settings = index.calibration.rerank
    measured = soart3.measures(embedded, references[candidates], p_eta=settings.p_eta, p_gamma=settings.p_gamma)
    scores = index.calibration.mix.scores(measured.beta, measured.eta, measured.gamma)
    best = np.take_along_axis(candidates, np.argsort(scores, axis=1, kind="stable")[:, :n_neighbours], axis=1)
    return [[snapshot.ids[row] for row in rows] for rows in best], np.take_along_axis(distances, best, axis=1)


def test_neighbours_are_those_of_a_search_by_hand(
    store: Path, index: InspectionIndex, data: tuple[Records, Records]
) -> None:
    with ReferenceStore.open(store / "line1") as references:
        ids, distances = nearest_by_hand(index, references.snapshot(), queries(data, 10), 5)

    batch = index.search(queries(data, 10), n_neighbours=5)

    assert [list(row) for row in batch.ids] == ids
    np.testing.assert_allclose(batch.distances, distances, rtol=1e-4, atol=1e-5)  # float32 against float64


def test_raw_maps_are_compared_on_a_scale_of_one(
    store: Path, index: InspectionIndex, data: tuple[Records, Records]
) -> None:
    with ReferenceStore.open(store / "line1") as references:
        snapshot = references.snapshot()
    rerank = replace(index.calibration.rerank, space="raw")
    raw = to_unit_scale(snapshot.vectors, (0.0, 255.0))
    calibration = replace(index.calibration, rerank=rerank)
    in_raw = InspectionIndex(replace(index.contents, calibration=calibration, raw=raw))

    batch = in_raw.search(queries(data, 5), n_neighbours=4)

    vectors = (queries(data, 5) / 255.0).astype(np.float64)
    expected = soart3.measures(vectors, (snapshot.vectors / 255.0).astype(np.float64)[batch.positions])
    np.testing.assert_allclose(batch.beta, expected.beta, rtol=1e-5)
    np.testing.assert_allclose(batch.eta, expected.eta, rtol=1e-5)
    np.testing.assert_allclose(batch.gamma, expected.gamma, rtol=1e-4, atol=1e-6)
    assert (np.diff(batch.match_distances, axis=1) >= 0).all()


def test_an_index_that_compares_raw_maps_and_holds_none_is_refused(index: InspectionIndex) -> None:
    calibration = replace(index.calibration, rerank=replace(index.calibration.rerank, space="raw"))

    with pytest.raises(ArtifactCorruptError, match="raw maps, and holds none"):
        InspectionIndex(replace(index.contents, calibration=calibration))


def test_changes_are_searched_as_if_they_had_always_been_there(own_store: Path, data: tuple[Records, Records]) -> None:
    index = open_index(own_store / "line1")
    nearest = [row[0] for row in index.search(queries(data, 10), n_neighbours=1).ids]
    with ReferenceStore.open(own_store / "line1") as references:
        references.add(new_class(data[0]), actor="test")
        references.remove(sorted(set(nearest[:5])), actor="test")
        references.relabel(sorted(set(nearest[5:]) - set(nearest[:5])), 3, "dent", actor="test")
        live = index.with_changes(references.changes(index.base_revision))
        ids, distances = nearest_by_hand(live, references.snapshot(), queries(data, 10), 5)

    batch = live.search(queries(data, 10), n_neighbours=5)

    assert [list(row) for row in batch.ids] == ids
    np.testing.assert_allclose(batch.distances, distances, rtol=1e-4, atol=1e-5)
    assert (live.revision, live.generation) == (4, "g000001")


def test_a_class_added_live_is_recognised_at_once(own_store: Path, data: tuple[Records, Records]) -> None:
    index = open_index(own_store / "line1")
    held_out = new_class(data[1], 20)
    with ReferenceStore.open(own_store / "line1") as references:
        references.add(new_class(data[0]), actor="test")
        live = index.with_changes(references.changes(index.base_revision))

    verdicts = live.classify(held_out.vectors)

    assert (verdicts.labels == BURR).mean() > 0.8
    assert set(verdicts.failure_modes) >= {"burr"}
    assert BURR in verdicts.anchor_labels[0]
    assert BURR not in index.labels


def test_live_anchors_are_those_of_a_rebuild(own_store: Path, data: tuple[Records, Records]) -> None:
    folder = StationFolder(own_store / "line1")
    index = open_index(folder.path)
    with ReferenceStore.open(folder.path) as references:
        references.add(new_class(data[0]), actor="test")
        references.remove(index.contents.references.ids(np.arange(20)), actor="test")
        live = index.with_changes(references.changes(index.base_revision))
    rebuild(folder)

    for label in live.labels:
        expected = open_index(folder.path).anchor_vector(label)
        np.testing.assert_allclose(live.anchor_vector(label), expected, rtol=1e-5)


def test_a_class_that_lost_its_last_reference_is_answered_no_more(
    own_store: Path, data: tuple[Records, Records]
) -> None:
    index = open_index(own_store / "line1")
    rows = np.flatnonzero(index.contents.references.labels == 7)
    with ReferenceStore.open(own_store / "line1") as references:
        references.remove(index.contents.references.ids(rows), actor="test")
        live = index.with_changes(references.changes(index.base_revision))

    verdicts = live.classify(data[1].vectors)

    assert 7 not in live.labels
    assert 7 not in set(verdicts.labels.tolist())


def test_a_generation_that_is_let_go_leaves_memory_without_the_collector(
    own_store: Path, data: tuple[Records, Records]
) -> None:
    with ReferenceStore.open(own_store / "line1") as references:
        references.add(new_class(data[0]), actor="test")
        gc.collect()
        gc.disable()  # as good as what a server does, which looks through everything hardly ever
        try:
            index = open_index(own_store / "line1")
            live = index.with_changes(references.changes(index.base_revision))
            for one in (index, live):
                one.classify(queries(data))
                one.search(queries(data), where=LabelIn((0, BURR)))
            embeddings = weakref.ref(index.contents.embeddings)
            del index, live, one
            assert embeddings() is None
        finally:
            gc.enable()


def test_batching_does_not_change_answers(index: InspectionIndex, data: tuple[Records, Records]) -> None:
    together = index.classify(queries(data))

    alone = [index.classify(query[None]) for query in queries(data)]

    np.testing.assert_array_equal(together.labels, np.concatenate([one.labels for one in alone]))
    np.testing.assert_array_equal(together.decisions, np.concatenate([one.decisions for one in alone]))
    np.testing.assert_allclose(
        together.neighbours.distances, np.concatenate([one.neighbours.distances for one in alone]), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        together.probabilities, np.concatenate([one.probabilities for one in alone]), rtol=1e-4, atol=1e-4
    )


def test_a_stored_reference_is_its_own_nearest_neighbour(index: InspectionIndex) -> None:
    batch = index.search(index.reference_vector(7)[None], n_neighbours=1)

    assert batch.positions[0, 0] == 7
    assert batch.distances[0, 0] == pytest.approx(0, abs=1e-5)
    assert batch.beta[0, 0] == pytest.approx(1, abs=1e-5)
    assert batch.eta[0, 0] == pytest.approx(0, abs=1e-4)


def test_verdicts_are_better_than_chance_and_carry_all_anchors(
    index: InspectionIndex, data: tuple[Records, Records]
) -> None:
    known = np.isin(data[1].labels, index.labels)
    verdicts = index.classify(data[1].vectors[known])

    assert (verdicts.labels == data[1].labels[known]).mean() > 0.85
    assert verdicts.anchor_distances.shape == (known.sum(), len(index.labels))
    assert (np.diff(verdicts.anchor_distances, axis=1) >= 0).all()


def test_decisions_agree_with_labels(index: InspectionIndex, data: tuple[Records, Records]) -> None:
    verdicts = index.classify(data[1].vectors)

    is_pass = np.isin(verdicts.labels, index.pass_labels)
    assert is_pass[verdicts.decisions == Decision.PASS].all()
    assert not is_pass[verdicts.decisions == Decision.REJECT].any()


def test_failure_modes_are_ones_of_the_answered_class(index: InspectionIndex, data: tuple[Records, Records]) -> None:
    verdicts = index.classify(data[1].vectors)

    known = set(zip(data[0].labels.tolist(), data[0].failure_modes, strict=True))
    assert set(zip(verdicts.labels.tolist(), verdicts.failure_modes, strict=True)) <= known


def test_more_neighbours_than_references_gives_all_references(
    index: InspectionIndex, data: tuple[Records, Records]
) -> None:
    batch = index.search(queries(data, 1), n_neighbours=10_000)

    assert sorted(batch.positions[0].tolist()) == list(range(index.n_references))


def test_pass_labels_that_are_empty_never_pass(
    tmp_path: Path, data: tuple[Records, Records], embedder_folder: Path
) -> None:
    build(tmp_path, "line1", replace(data[0], pass_labels=()), embedder_folder)

    verdicts = open_index(tmp_path / "line1").classify(data[1].vectors)

    assert Decision.PASS not in set(verdicts.decisions.tolist())
    assert verdicts.reject_probabilities is None


def test_rebuild_adds_records_and_knows_the_new_class(own_store: Path, data: tuple[Records, Records]) -> None:
    folder = StationFolder(own_store / "line1")
    known, held_out = new_class(data[0]), new_class(data[1], 20)

    built = rebuild(folder, records=known)

    index = open_index(folder.path)
    assert (index.generation, built.n_added) == ("g000002", len(known))
    assert (index.classify(held_out.vectors).labels == BURR).mean() > 0.8


def test_a_new_reject_class_turns_nothing_into_a_pass(own_store: Path, data: tuple[Records, Records]) -> None:
    folder = StationFolder(own_store / "line1")
    before = open_index(folder.path).classify(data[1].vectors)

    rebuild(folder, records=new_class(data[0]))

    after = open_index(folder.path).classify(data[1].vectors)
    turned = (after.decisions == Decision.PASS) & (before.decisions != Decision.PASS)
    assert turned.sum() == 0


def test_rebuilding_without_changes_answers_the_same_bit_for_bit(
    own_store: Path, data: tuple[Records, Records]
) -> None:
    folder = StationFolder(own_store / "line1")
    before = open_index(folder.path).classify(queries(data))

    rebuild(folder)

    after = open_index(folder.path).classify(queries(data))
    np.testing.assert_array_equal(before.neighbours.match_distances, after.neighbours.match_distances)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)


def test_an_earlier_generation_still_opens(own_store: Path, data: tuple[Records, Records]) -> None:
    folder = StationFolder(own_store / "line1")
    rebuild(folder, records=new_class(data[0]))

    index = open_index(folder.path, "g000001")

    assert BURR not in index.labels


def test_a_conflicting_record_changes_nothing(own_store: Path, data: tuple[Records, Records]) -> None:
    folder = StationFolder(own_store / "line1")
    relabelled = replace(data[0], labels=np.roll(data[0].labels, 200))

    with pytest.raises(ReferenceConflictError):
        rebuild(folder, records=relabelled)

    assert folder.current().generation == "g000001"
    with ReferenceStore.open(folder.path) as references:
        assert references.n_references == len(data[0])


def test_a_station_that_exists_is_not_built_again(
    own_store: Path, data: tuple[Records, Records], embedder_folder: Path
) -> None:
    with pytest.raises(StoreError, match="exists already"):
        build(own_store, "line1", data[0], embedder_folder)


def test_a_build_that_was_killed_is_gone_on_with(
    tmp_path: Path, data: tuple[Records, Records], embedder_folder: Path
) -> None:
    build(tmp_path, "line1", data[0], embedder_folder)
    (tmp_path / "line1" / "CURRENT").unlink()

    built = build(tmp_path, "line1", data[0], embedder_folder)

    assert (built.generation, built.revision, built.n_added) == ("g000002", 1, 0)


def test_a_build_that_left_nothing_but_a_name_is_begun_again(
    tmp_path: Path, data: tuple[Records, Records], embedder_folder: Path
) -> None:
    (tmp_path / "line1").mkdir()
    (tmp_path / "line1" / "references.db").touch()

    assert build(tmp_path, "line1", data[0], embedder_folder).n_added == len(data[0])


def test_a_build_that_cannot_calibrate_leaves_no_station(
    tmp_path: Path, data: tuple[Records, Records], embedder_folder: Path
) -> None:
    few = data[0].take(np.arange(3))

    with pytest.raises(CalibrationError):
        build(tmp_path, "line1", few, embedder_folder)

    assert not (tmp_path / "line1").exists()


def test_records_on_another_scale_are_refused_by_name(
    tmp_path: Path, data: tuple[Records, Records], embedder_folder: Path
) -> None:
    scaled = replace(data[0], vectors=data[0].vectors / np.float32(255), value_range=None)

    with pytest.raises(EmbedderError, match="scale"):
        build(tmp_path, "line1", scaled, embedder_folder)


def test_canaries_notice_another_calibration(own_store: Path) -> None:
    index = open_index(own_store / "line1")
    mix = replace(index.calibration.mix, bias=index.calibration.mix.bias + 1)
    changed = InspectionIndex(replace(index.contents, calibration=replace(index.calibration, mix=mix)))
    canaries = read_canaries(own_store / "line1" / "generations" / "g000001")

    with pytest.raises(ArtifactCorruptError, match="canary"):
        canaries.replay(changed)
