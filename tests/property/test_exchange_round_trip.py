"""Whatever happened to a station, and whatever its texts are: taken out and back in, it is the same."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from miwake.indexer.exchange.exporting import export
from miwake.indexer.exchange.importing import import_station
from miwake.indexer.records import Records
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, SHAPE

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
labels = st.sampled_from([0, 7, -(2**31), 2**31 - 1])
values = st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4, unique=True).filter(
    lambda one: max(one) - min(one) > 0.1
)
no_template = st.just([float("nan")] * 4)
templates = st.one_of(no_template, values, st.sampled_from([[0.0] * 4, [0.0, 0.5, 1.0, 0.25]]))
rows = st.tuples(values, labels, texts, texts, texts, st.sampled_from(["", "train", "test"]), texts, templates)
ids = st.one_of(st.sampled_from(["a", "b", "c"]), texts.filter(bool))
added = st.tuples(st.dictionaries(ids, rows, min_size=1, max_size=4), texts)
relabelled = st.tuples(st.integers(0, 9), labels, texts)
changes = st.lists(st.one_of(added, relabelled, st.integers(0, 9)), max_size=6)


def records_of(batch: dict[str, Any], source: str) -> Records:
    columns = list(zip(*batch.values(), strict=True))
    return Records(
        vectors=np.array(columns[0], dtype=np.float32),
        labels=np.array(columns[1], dtype=np.int32),
        failure_modes=columns[2],
        ids=tuple(batch),
        parts=columns[3],
        groups=columns[4],
        splits=columns[5],
        times=columns[6],
        source=source,
        heat_map_shape=SHAPE,
        pass_labels=(0,),
        templates=np.array(columns[7], dtype=np.float32),
    )


def apply(store: ReferenceStore, change: Any) -> None:
    """Make a change, each by somebody of another name; numbers choose among what is there."""
    there, actor = store.snapshot().ids, f"who {store.revision % 3}"
    if isinstance(change, int):
        store.remove(there[change : change + 1], actor=actor)
    elif isinstance(change[0], int):
        store.relabel(there[change[0] : change[0] + 1], *change[1:], actor=actor)
    else:
        new = {one: row for one, row in change[0].items() if one not in there}
        if new:
            store.add(records_of(new, change[1]), actor=actor)


def everything(folder: Path) -> list[Any]:
    with ReferenceStore.open(folder) as store:
        store.check()
        revisions = range(store.revision + 1)
        snapshots = [asdict(store.snapshot(one)) for one in revisions]
        history = {one: store.history(one) for snapshot in snapshots for one in snapshot["ids"]}
        comparable = [
            one | {"vectors": one["vectors"].tobytes(), "labels": one["labels"].tolist()} for one in snapshots
        ]
        found = [store.templates(snapshots[one]["ids"], one) for one in revisions]
        templates = [None if one is None else one.tobytes() for one in found]
        return [store.schema, [store.at(one) for one in revisions], comparable, history, templates]


@settings(deadline=None, max_examples=60)
@given(changes)
def test_a_round_trip_keeps_everything(changed: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a" / "line", Path(folder) / "b" / "line"
        with ReferenceStore.create(first, schema=SCHEMA) as store:
            for change in changed:
                apply(store, change)

        export(first, Path(folder) / "first.parquet")
        import_station(Path(folder) / "first.parquet", second.parent, actor="importer")
        export(second, Path(folder) / "second.parquet")

        assert everything(second) == everything(first)
        assert (Path(folder) / "second.parquet").read_bytes() == (Path(folder) / "first.parquet").read_bytes()
        histories = [Path(folder) / f"{name}.history.parquet" for name in ("first", "second")]
        assert len({one.read_bytes() if one.exists() else b"" for one in histories}) == 1
