"""The store against a dictionary: whatever is done to it and reopened, every revision reads as it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from miwake.indexer.errors import ReferenceConflictError, StoreError
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, make_records, vectors_of

N_EXAMPLES = int(os.environ.get("MIWAKE_MODEL_EXAMPLES", "30"))
"""Runs of the machine; ``make faults`` asks for more."""

IDS = [f"id {number}" for number in range(6)]
SEEDS = st.integers(0, 3)
LABELS = st.integers(0, 2)


class Reference(NamedTuple):
    seed: int
    label: int
    template: int | None

    def agrees(self, new: Reference) -> bool:
        """Return whether adding ``new`` under the same id changes nothing: it may leave out the template."""
        return self[:2] == new[:2] and new.template in (None, self.template)


TEMPLATES = st.sampled_from([None, None, 0, 90])
"""Seeds, one of which some vectors have too."""

batches = st.dictionaries(st.sampled_from(IDS), st.builds(Reference, SEEDS, LABELS, TEMPLATES), min_size=1)
some_ids = st.lists(st.sampled_from(IDS), min_size=1)


def templates_of(references: Iterable[Reference]) -> NDArray[np.float32]:
    """Return the templates (n, 4) of references, rows of NaN for none."""
    found = [np.full(4, np.nan) if one.template is None else vectors_of([one.template])[0] for one in references]
    return np.array(found, dtype=np.float32).reshape(-1, 4)


class StoreModel(RuleBasedStateMachine):
    """``states[r]`` is what revision r holds, in order; every rule changes it as the store is meant to."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = ReferenceStore.create(Path(self.folder.name) / "line", schema=SCHEMA)
        self.states: list[dict[str, Reference]] = [{}]

    def teardown(self) -> None:
        self.store.check()
        self.store.close()
        self.folder.cleanup()

    @property
    def now(self) -> dict[str, Reference]:
        return dict(self.states[-1])

    def become(self, state: dict[str, Reference]) -> None:
        if state != self.states[-1] or list(state) != list(self.states[-1]):
            self.states.append(state)

    @rule(batch=batches)
    def add(self, batch: dict[str, Reference]) -> None:
        records = make_records(
            list(batch), seeds=[one.seed for one in batch.values()], labels=[one.label for one in batch.values()]
        )
        records = replace(records, templates=templates_of(batch.values()))
        if not all(self.now.get(one, reference).agrees(reference) for one, reference in batch.items()):
            with pytest.raises(ReferenceConflictError):
                self.store.add(records, actor="model")
        else:
            change = self.store.add(records, actor="model")
            assert change.n_added == len(batch.keys() - self.now.keys())
            self.become(self.now | {one: new for one, new in batch.items() if one not in self.now})

    @rule(ids=some_ids, label=LABELS)
    def relabel(self, ids: list[str], label: int) -> None:
        self.change_known(ids, lambda: self.store.relabel(ids, label, f"mode {label}", actor="model"))
        if self.now.keys() >= set(ids):
            self.become(self.now | {one: self.now[one]._replace(label=label) for one in ids})

    @rule(ids=some_ids)
    def remove(self, ids: list[str]) -> None:
        self.change_known(ids, lambda: self.store.remove(ids, actor="model"))
        if self.now.keys() >= set(ids):
            self.become({one: reference for one, reference in self.now.items() if one not in ids})

    def change_known(self, ids: list[str], change: object) -> None:
        assert callable(change)
        if self.now.keys() >= set(ids):
            change()
        else:
            with pytest.raises(StoreError, match="no reference"):
                change()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = ReferenceStore.open(self.store.path.parent)

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data())
    def read_an_earlier_revision(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(0, len(self.states) - 1))
        self.assert_holds(revision)

    @invariant()
    def the_latest_revision_is_the_latest_state(self) -> None:
        assert self.store.revision == len(self.states) - 1
        self.assert_holds(self.store.revision)

    @invariant()
    def the_history_ends_where_the_references_are(self) -> None:
        for one in IDS:
            history = self.store.history(one)
            label = history[-1].to_label if history else None
            assert label == (self.now[one].label if one in self.now else None)

    def assert_holds(self, revision: int) -> None:
        state = self.states[revision]
        found = self.store.snapshot(revision)
        assert found.ids == tuple(state)
        assert found.labels.tolist() == [one.label for one in state.values()]
        templates = self.store.templates(tuple(state), revision)
        expected = templates_of(state.values())
        if np.isnan(expected).all():
            assert templates is None
        else:
            np.testing.assert_array_equal(templates, expected)
        if state:
            assert found.vectors.tobytes() == vectors_of([one.seed for one in state.values()]).tobytes()


StoreModel.TestCase.settings = settings(max_examples=N_EXAMPLES, stateful_step_count=20, deadline=None)
TestStoreModel = StoreModel.TestCase
