"""Everything that an evaluation says, on synthetic and on real data, beside what an index answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from miwake.indexer.answers import LabelMethod
from miwake.indexer.build import build
from miwake.indexer.evaluation import Evaluation, evaluate
from miwake.indexer.opening import open_index
from miwake.indexer.records import Records
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split
from miwake.training.evaluate import EmbedderEvaluation, evaluate_held_out
from support.blobs import blob_records
from support.data import shared_data
from support.embedders import linear_discriminants


@pytest.fixture(scope="module")
def tiles() -> Records:
    """Return half of the magnetic tiles, in three lots."""
    records = read_records(shared_data("magnetic_tile_36x39"))
    parts = sorted(set(records.parts))[::2]
    lots = {part: f"lot {number % 3}" for number, part in enumerate(parts)}
    chosen = records.take(np.isin(np.array(records.parts), parts))
    return replace(chosen, groups=tuple(lots[part] for part in chosen.parts))


@pytest.fixture(scope="module")
def of_tiles(tiles: Records, tmp_path_factory: pytest.TempPathFactory) -> EmbedderEvaluation:
    embedder = linear_discriminants(tmp_path_factory.mktemp("embedder"), held_out_split(tiles)[0])
    return evaluate_held_out(embedder, tiles)


def test_the_calibrated_ways_are_those_of_an_index_of_the_same_references(tmp_path: Path) -> None:
    records = blob_records(200)
    references, queries = held_out_split(records)
    embedder = linear_discriminants(tmp_path / "embedder", references)
    build(tmp_path / "store", "line1", references, tmp_path / "embedder")
    verdicts = open_index(tmp_path / "store" / "line1").classify(queries.vectors, n_neighbours=1)
    found = evaluate_held_out(embedder, records)
    kinds = {"class-mean": found.nearest_anchor, "mean-embedding": found.nearest_mean_embedding}
    ways: list[Evaluation | None] = [kinds[found.calibrations[0].anchors], found.vote, found.soart3_vote]
    for method, way in zip(LabelMethod, ways, strict=True):
        own = verdicts.probabilities if method == verdicts.method else None
        expected = evaluate(
            queries.labels,
            verdicts.method_labels[:, method - 1],
            pass_labels=queries.pass_labels,
            probabilities=own,
            parts=queries.parts,
        )
        assert way is not None
        assert way.confusion == expected.confusion
        assert (way.escape, way.overkill) == (expected.escape, expected.overkill)
        if own is not None:
            # the index hands out float32
            assert way.calibration_error == pytest.approx(expected.calibration_error, abs=1e-6)


def test_real_tiles_are_told_by_every_way(tiles: Records, of_tiles: EmbedderEvaluation) -> None:
    n_queries = sum(split == "test" for split in tiles.splits)
    ways = of_tiles.ways()
    assert of_tiles.n_queries == n_queries
    assert all(way is not None and way.n_rows == n_queries for way in ways.values())
    assert all(way is not None and way.accuracy.value > 0.3 for way in ways.values())
    assert of_tiles.not_calibrated == ""


def test_classes_and_groups_add_up_to_the_whole(tiles: Records, of_tiles: EmbedderEvaluation) -> None:
    groups = {group for group, split in zip(tiles.groups, tiles.splits, strict=True) if split == "test"}
    assert {one.group for one in of_tiles.groups} == groups
    for slices in (of_tiles.classes, of_tiles.groups):
        assert sum(one.n_queries for one in slices) == of_tiles.n_queries
        right = sum(one.nearest_references.accuracy.n_counted for one in slices)
        assert right == of_tiles.nearest_references.accuracy.n_counted
        pairs = [one.verification["references"]["cosine"].n_genuine for one in slices]
        assert sum(pairs) == of_tiles.verification["references"]["cosine"].n_genuine


def test_precision_and_f1_of_classes_are_those_of_scikit_learn(of_tiles: EmbedderEvaluation) -> None:
    way = of_tiles.vote
    assert way is not None
    counts = np.array(way.confusion)
    truth = np.repeat(np.repeat(way.labels, len(counts)), counts.ravel())
    found = np.repeat(np.tile(way.labels, len(counts)), counts.ravel())
    precision, _, f1, _ = metrics.precision_recall_fscore_support(
        truth, found, labels=[one.label for one in of_tiles.classes]
    )
    assert [one.precision["vote"] for one in of_tiles.classes] == pytest.approx(precision, abs=1e-12)
    assert [one.f1["vote"] for one in of_tiles.classes] == pytest.approx(f1, abs=1e-12)


def test_rejects_of_real_tiles_are_left_out_in_turn(of_tiles: EmbedderEvaluation) -> None:
    assert of_tiles.open_set is not None
    assert [one.label for one in of_tiles.open_set.classes if one.is_reject] == [1, 2, 3, 4, 5]
    assert all(one.embedder_knew for one in of_tiles.open_set.classes)


def test_same_classes_are_nearer_than_others_on_real_tiles(of_tiles: EmbedderEvaluation) -> None:
    for gallery in ("references", "anchors"):
        auc = of_tiles.verification[gallery]["euclidean"].auc
        assert auc is not None
        assert auc > 0.6
        nearest = of_tiles.identification[gallery]["euclidean"].rank_1
        assert nearest is not None
        assert nearest.value > 0.3


def test_everything_is_plain_json_of_moderate_size(of_tiles: EmbedderEvaluation) -> None:
    told = json.dumps(of_tiles.to_dict(), allow_nan=False)
    assert len(told) < 500_000
    assert json.loads(told)["classes"][0]["is_pass"] is True
