from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.training.audit.auditing import Audit, audit
from miwake.training.audit.suspects import Kind
from miwake.training.audit.writing import COLUMNS, page, table, write_audit
from miwake.training.errors import TrainingDataError
from support.blobs import blob_records

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.records import Records

N_PARTS = 300
WRONG = (6, 40, 100, 222, 340)
OUTLIER, COPY, NEAR_COPY, CONTRARY, TEST_COPY = 11, 61, 71, 81, 8


def spoilt() -> Records:
    """Return blobs with one of everything that an audit looks for; row 8 is in the split ``test``."""
    records = blob_records(N_PARTS)
    rng = np.random.default_rng(0)
    vectors, labels = records.vectors.copy(), records.labels.copy()
    labels[list(WRONG)] = np.where(labels[list(WRONG)] == 0, 3, 0)
    rows, columns = np.mgrid[:12, :13]
    vectors[OUTLIER] = (np.where((rows + columns) % 2, 250, 5)).ravel()
    vectors[COPY], labels[COPY] = vectors[20], labels[20]
    vectors[NEAR_COPY], labels[NEAR_COPY] = vectors[30] + rng.normal(0, 0.3, vectors.shape[1]), labels[30]
    vectors[CONTRARY], labels[CONTRARY] = vectors[50], labels[50] + 1
    vectors[TEST_COPY], labels[TEST_COPY] = vectors[62], labels[62]
    return replace(records, vectors=vectors, labels=labels)


@pytest.fixture(scope="module")
def records() -> Records:
    return spoilt()


@pytest.fixture(scope="module")
def found(records: Records) -> Audit:
    return audit(records)


def rows(found: Audit, kind: Kind) -> list[int]:
    return [one.row for one in found.suspects if one.kind is kind]


def test_planted_wrong_labels_come_first(found: Audit) -> None:
    assert set(rows(found, Kind.MISLABELLED)[:6]) >= set(WRONG)


def test_a_wrong_label_is_told_with_what_it_looks_like(found: Audit, records: Records) -> None:
    truth = blob_records(N_PARTS).labels

    suspect = next(one for one in found.suspects if one.row == WRONG[0] and one.kind is Kind.MISLABELLED)

    assert suspect.looks_like == truth[WRONG[0]]
    assert suspect.other_row is not None
    assert records.labels[suspect.other_row] == suspect.looks_like
    assert records.parts[suspect.other_row] != suspect.part


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.CONTRADICTION, [50, CONTRARY]),
        (Kind.TWIN, [TEST_COPY]),
        (Kind.DUPLICATE, [COPY]),
        (Kind.NEAR_DUPLICATE, [NEAR_COPY]),
    ],
)
def test_repeats_are_found(found: Audit, kind: Kind, expected: list[int]) -> None:
    assert sorted(rows(found, kind)) == expected


def test_a_twin_names_the_training_record(found: Audit, records: Records) -> None:
    (twin,) = [one for one in found.suspects if one.kind is Kind.TWIN]

    assert (twin.split, twin.other) == ("test", records.ids[62])


def test_a_part_on_both_sides_of_the_split_is_told() -> None:
    clean = blob_records(60)
    splits = tuple("test" if row == 12 else "train" for row in range(120))

    (twin,) = [one for one in audit(replace(clean, splits=splits)).suspects if one.kind is Kind.TWIN]

    assert (twin.row, twin.other) == (12, clean.ids[13])
    assert twin.what == f"its part is in training as {clean.ids[13]}"


def test_the_outlier_is_the_first_of_them(found: Audit) -> None:
    assert rows(found, Kind.OUTLYING)[0] == OUTLIER


def test_the_ceiling_counts_what_is_suspected_of_a_wrong_label(found: Audit) -> None:
    assert found.ceiling is not None
    n_wrong = found.counts["mislabelled"] + found.counts["contradiction"]
    assert found.ceiling.n_rows - found.ceiling.n_counted == n_wrong
    assert found.ceiling.low < 1 - n_wrong / 600 < found.ceiling.high


def test_the_accuracy_without_suspects_is_over_the_others(found: Audit) -> None:
    assert found.as_given is not None
    assert found.without_suspects is not None
    assert found.as_given.n_rows == 600
    assert found.without_suspects.n_rows == 600 - len({one.row for one in found.suspects})
    assert found.without_suspects.accuracy.value > found.as_given.accuracy.value


def test_rows_of_the_same_part_are_no_evidence() -> None:
    clean = blob_records(N_PARTS)
    labels = clean.labels.copy()
    labels[80:82] = 7 if labels[80] != 7 else 0  # both pictures of one part, so that each vouches for the other
    found = audit(replace(clean, labels=labels))

    assert {80, 81} <= set(rows(found, Kind.MISLABELLED))


def test_a_copy_in_another_part_does_not_vouch_for_a_wrong_label() -> None:
    clean = blob_records(N_PARTS)
    vectors, labels = clean.vectors.copy(), clean.labels.copy()
    vectors[120] = vectors[80]
    labels[[80, 120]] = 7 if labels[80] != 7 else 0
    found = audit(replace(clean, vectors=vectors, labels=labels))

    assert {80, 120} <= set(rows(found, Kind.MISLABELLED))


def test_a_label_that_one_part_alone_has_is_not_judged() -> None:
    clean = blob_records(N_PARTS)
    labels = clean.labels.copy()
    labels[80:82] = 99
    found = audit(replace(clean, labels=labels))

    assert found.n_not_judged == 2
    assert {80, 81} & set(rows(found, Kind.MISLABELLED)) == set()


def test_data_of_one_class_are_audited_but_for_their_labels() -> None:
    clean = blob_records(60)
    found = audit(replace(clean, labels=np.zeros(120, dtype=np.int32)))

    assert found.as_given is None
    assert found.ceiling is None
    assert any("labels were not judged" in note for note in found.notes)
    assert "Labels could not be judged." in page(found, clean)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(TrainingDataError, match=r"10 of 10 rows can be used, expected 20 or more"):
        audit(blob_records(5, labels=(0, 1)))


def test_the_order_of_a_table_is_that_of_the_suspects(found: Audit) -> None:
    told = list(csv.DictReader(io.StringIO(table(found))))

    assert tuple(told[0]) == COLUMNS
    assert [int(one["row"]) for one in told] == [one.row for one in found.suspects]
    assert told[0]["rank"] == "1"
    first = next(one for one in told if one["kind"] == "mislabelled")
    assert float(first["score"]) >= 0.95


def test_an_audit_is_plain_json(found: Audit) -> None:
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))

    assert told["counts"]["duplicate"] == 1
    assert told["suspects"][0]["kind"] == "contradiction"


def test_a_page_shows_texts_as_they_are_and_needs_nothing_else(found: Audit, records: Records, tmp_path: Path) -> None:
    hostile = replace(
        found, suspects=tuple(replace(one, id="<script>x</script>", part="</p>\ud800") for one in found.suspects)
    )

    path, _ = write_audit(tmp_path / "new" / "folder", hostile, records)

    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;x&lt;/script&gt;" in text
    assert "default-src 'none'" in text
    assert text.count("data:image/png;base64,") == text.count("<img ") > 10


def test_what_has_no_picture_stands_in_a_table(found: Audit, records: Records) -> None:
    text = page(found, records, n_pictures=0)

    assert "<img" not in text
    assert records.ids[COPY] in text
