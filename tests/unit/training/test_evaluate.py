from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.embedder import Embedder
from miwake.indexer.errors import DataError, EmbedderError
from miwake.indexer.records import Records
from miwake.indexer.splits import held_out_split
from miwake.training.errors import FittedRowsError
from miwake.training.evaluate import EmbedderEvaluation, evaluate_all, evaluate_held_out
from support.blobs import blob_records
from support.embedders import linear_discriminants


@pytest.fixture(scope="module")
def records() -> Records:
    return blob_records(200)


@pytest.fixture(scope="module")
def held_out(embedder: Embedder, records: Records) -> EmbedderEvaluation:
    return evaluate_held_out(embedder, records)


@pytest.fixture(scope="module")
def embedder(records: Records, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return linear_discriminants(tmp_path_factory.mktemp("embedder"), held_out_split(records)[0])


def test_the_held_out_rows_are_asked_and_the_training_rows_answer(held_out: EmbedderEvaluation) -> None:
    found = held_out
    assert (found.n_queries, found.n_query_parts, found.n_references) == (80, 40, 320)
    assert found.nearest_references.n_rows == 80
    assert found.nearest_references.accuracy.value > 0.8
    assert found.nearest_anchor.accuracy.value > 0.8


def test_rows_that_were_fitted_on_are_refused_with_how_many_and_the_first(embedder: Embedder, records: Records) -> None:
    n_fitted = len(embedder.card.fit_row_hashes)
    with pytest.raises(FittedRowsError) as caught:
        evaluate_all(embedder, records)
    assert (caught.value.n_fitted, caught.value.n_rows) == (n_fitted, 400)
    assert f"fitted on {n_fitted} of the 400 rows, first 'blob-0-" in str(caught.value)


def test_fitted_rows_are_recognised_under_other_ids_and_in_another_order(embedder: Embedder, records: Records) -> None:
    order = np.arange(len(records))[::-1]
    renamed = replace(
        records, ids=tuple(f"new {row}" for row in range(len(records))), splits=("test",) * len(records)
    ).take(order)
    with pytest.raises(FittedRowsError):
        evaluate_all(embedder, renamed)


def test_new_rows_are_asked_against_the_other_parts_among_them(embedder: Embedder) -> None:
    found = evaluate_all(embedder, blob_records(100, seed=9, first_part=1000))
    assert (found.n_queries, found.n_references) == (200, 200)
    assert 0.8 < found.nearest_references.accuracy.value <= 1.0
    assert len(found.calibrations) == 2  # each half of the parts is judged by what the other half calibrates
    assert found.vote is not None
    assert found.vote.n_rows == 200


def test_a_row_does_not_answer_for_its_own_part(embedder: Embedder) -> None:
    rows = blob_records(20, seed=9, first_part=1000)
    alone = rows.take(np.flatnonzero(np.array(rows.parts) == rows.parts[0]))
    two_parts = replace(
        rows.take(np.arange(4)), labels=np.array([0, 0, 1, 1], dtype=np.int32), parts=("a", "a", "b", "b")
    )
    assert len(alone) == 2
    assert evaluate_all(embedder, two_parts).nearest_references.accuracy.value == 0.0


def test_an_empty_side_of_the_split_is_an_error(embedder: Embedder, records: Records) -> None:
    with pytest.raises(DataError, match="0 training and 400 held-out rows"):
        evaluate_held_out(embedder, replace(records, splits=("test",) * 400))


def test_vectors_of_another_length_are_refused(embedder: Embedder) -> None:
    rows = blob_records(60, seed=9, first_part=1000)
    cropped = replace(rows, vectors=np.ascontiguousarray(rows.vectors[:, :143]), heat_map_shape=(11, 13))
    with pytest.raises(EmbedderError, match="vectors of 143 values, the embedder takes 156"):
        evaluate_held_out(embedder, cropped)


def test_vectors_on_another_scale_are_refused(embedder: Embedder) -> None:
    rows = blob_records(60, seed=9, first_part=1000)
    with pytest.raises(EmbedderError, match="rows do not fit the embedder, the first is blob-9-"):
        evaluate_held_out(embedder, replace(rows, vectors=rows.vectors / np.float32(255), value_range=(0.0, 1.0)))


def test_an_evaluation_is_plain_json(held_out: EmbedderEvaluation) -> None:
    stored = json.loads(json.dumps(held_out.to_dict(), allow_nan=False))
    assert stored["nearest_references"]["escape"]["n_rows"] > 0
    assert Path(stored["source"]).name == "blobs (seed 0)"


def test_without_pass_labels_there_are_no_escapes_anywhere(embedder: Embedder, records: Records) -> None:
    found = evaluate_held_out(embedder, replace(records, pass_labels=()))
    stored = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    for figures in (stored, *stored["classes"]):
        for way in ("nearest_anchor", "nearest_references", "vote", "soart3_vote"):
            assert (figures[way]["escape"], figures[way]["overkill"]) == (None, None)
    assert [one["is_pass"] for one in stored["classes"]] == [None] * 5
    assert all(one["is_reject"] for one in stored["open_set"]["classes"])


def test_both_kinds_of_anchors_answer(embedder: Embedder, records: Records, held_out: EmbedderEvaluation) -> None:
    references, queries = held_out_split(records)
    embedded, known = embedder.embed(queries.vectors), embedder.embed(references.vectors)
    labels = np.unique(references.labels)
    members = [references.labels == label for label in labels]
    class_means = embedder.embed(np.stack([references.vectors[one].mean(axis=0) for one in members]))
    means = np.stack([known[one].mean(axis=0) for one in members])
    right = [
        int((labels[np.linalg.norm(embedded[:, None] - one, axis=2).argmin(axis=1)] == queries.labels).sum())
        for one in (class_means, means)
    ]
    found = (held_out.nearest_anchor, held_out.nearest_mean_embedding)
    assert [way.accuracy.n_counted for way in found] == right


def test_groups_are_told_apart(embedder: Embedder, records: Records, held_out: EmbedderEvaluation) -> None:
    lots = tuple("even" if int(part.split()[1]) % 2 == 0 else "" for part in records.parts)
    found = evaluate_held_out(embedder, replace(records, groups=lots))
    assert [one.group for one in found.groups] == ["", "even"]
    assert sum(one.n_queries for one in found.groups) == found.n_queries
    assert held_out.groups == ()


def test_too_few_rows_to_calibrate_are_told_and_leave_the_plain_ways(embedder: Embedder) -> None:
    found = evaluate_all(embedder, blob_records(8, seed=9, first_part=1000))
    assert "calibration" in found.not_calibrated
    assert (found.vote, found.soart3_vote, found.calibrations) == (None, None, ())
    assert list(found.verification["anchors"]) == ["cosine", "euclidean"]
    assert found.nearest_anchor.n_rows == 16


def test_a_class_that_the_embedder_never_saw_is_told_from_those_it_knew(records: Records, tmp_path: Path) -> None:
    without_dents = records.take(records.labels != 3)
    found = evaluate_held_out(linear_discriminants(tmp_path, held_out_split(without_dents)[0]), records).open_set
    assert found is not None
    assert {one.label: one.embedder_knew for one in found.classes} == {0: True, 1: True, 2: True, 3: False}
    assert [one.label for one in found.skipped] == [7]


def test_the_same_rows_give_the_same_figures(
    embedder: Embedder, records: Records, held_out: EmbedderEvaluation
) -> None:
    assert evaluate_held_out(embedder, records) == held_out
