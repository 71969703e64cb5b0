"""A new defect in a minute: references of a class that nobody has trained on, and what they may not do."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from miwake.indexer.answers import Decision, VerdictBatch
from miwake.indexer.build import build
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.records import Records
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.store import ReferenceStore
from support.data import shared_data
from support.embedders import linear_discriminants

COPPER = 5
"""Of DeepPCB: excess copper, which the embedder here has not seen."""

COUNTS = (5, 10, 20)


class Line(NamedTuple):
    """A station without a class, held-out rows, and what it answers them before and after references of the class."""

    held_out: Records
    before: VerdictBatch
    after: dict[int, VerdictBatch]

    @property
    def is_member(self) -> np.ndarray:
        return np.asarray(self.held_out.labels == COPPER)


def some(records: Records, n_records: int, seed: int) -> Records:
    rows = np.random.default_rng(seed).choice(len(records), n_records, replace=False)
    return records.take(np.sort(rows))


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    folder = tmp_path_factory.mktemp("line")
    training, held_out = held_out_split(read_records(str(shared_data("deeppcb_36x39"))))
    known = some(training.take(training.labels != COPPER), 2_500, 0)
    linear_discriminants(folder / "embedder", known)
    build(folder / "store", "pcb", known, folder / "embedder")
    station = folder / "store" / "pcb"
    held_out = some(held_out, 700, 1)
    base = open_index(station)
    members = some(training.take(training.labels == COPPER), max(COUNTS), 2)
    return Line(held_out, base.classify(held_out.vectors), with_members(station, base, members, held_out))


def with_members(station: Path, base: InspectionIndex, members: Records, held_out: Records) -> dict[int, VerdictBatch]:
    found = {}
    with ReferenceStore.open(station) as store:
        for count in COUNTS:
            store.add(members.take(np.arange(count)), actor="test")
            found[count] = base.with_changes(store.changes(base.base_revision)).classify(held_out.vectors)
    return found


@pytest.mark.parametrize("count", COUNTS)
def test_no_other_part_turns_into_a_pass(line: Line, count: int) -> None:
    turned = (line.after[count].decisions == Decision.PASS) & (line.before.decisions != Decision.PASS)

    assert not turned.any()


@pytest.mark.parametrize("count", COUNTS)
def test_no_label_turns_from_reject_to_pass(line: Line, count: int) -> None:
    assert not ((line.after[count].labels == 0) & (line.before.labels != 0)).any()


def test_members_are_recognised_from_five_references_on(line: Line) -> None:
    shares = [float((line.after[count].labels[line.is_member] == COPPER).mean()) for count in COUNTS]

    assert min(shares) > 0.15  # linear discriminants that have never seen the class; docs/verdict.md has real ones
    assert shares[-1] > shares[0]


def test_fewer_members_pass_than_before(line: Line) -> None:
    passed = [(one.decisions[line.is_member] == Decision.PASS).mean() for one in (line.before, line.after[20])]

    assert passed[1] <= passed[0]


def test_hardly_any_other_part_is_taken_for_a_member(line: Line) -> None:
    others = line.after[20].labels[~line.is_member]

    assert (others == COPPER).mean() < 0.1
