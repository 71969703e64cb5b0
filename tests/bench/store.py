"""Durable changes a second: many callers with group commit, against one transaction for each change."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from miwake.indexer.records import Records
from miwake.indexer.storage.group_commit import GroupCommit
from miwake.indexer.storage.schema import StationSchema
from miwake.indexer.storage.store import ReferenceStore

SHAPE = (36, 39)
N_VALUES = SHAPE[0] * SHAPE[1]
CALLERS = (1, 8, 32)
SECONDS = 2.0


def measure() -> dict[str, float]:
    """Return changes a second, each the addition of one reference of 1,404 values, durable when it is answered."""
    schema = StationSchema(n_values=N_VALUES, heat_map_shape=SHAPE, pass_labels=(0,), value_range=(0.0, 1.0))
    # Under the build folder, on the disk that the work lies on: /tmp may be memory, where a commit waits for nothing.
    build = Path("build")
    build.mkdir(exist_ok=True)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=build) as folder:
        ReferenceStore.create(Path(folder) / "alone", schema=schema).close()
        found["changes_a_second_alone"] = _alone(Path(folder) / "alone")
        for n_callers in CALLERS:
            station = Path(folder) / f"group{n_callers}"
            ReferenceStore.create(station, schema=schema).close()
            found[f"changes_a_second_{n_callers}_callers"] = _together(station, n_callers)
    found["group_commit_speedup"] = found[f"changes_a_second_{CALLERS[-1]}_callers"] / found["changes_a_second_alone"]
    return found


def _alone(station: Path) -> float:
    start, number = time.perf_counter(), 0
    with ReferenceStore.open(station) as store:
        while time.perf_counter() - start < SECONDS:
            store.add(_record(number), actor="bench")
            number += 1
    return number / (time.perf_counter() - start)


def _together(station: Path, n_callers: int) -> float:
    with GroupCommit(station) as group, ThreadPoolExecutor(n_callers) as callers:
        start = time.perf_counter()

        def add(caller: int) -> int:
            number = 0
            while time.perf_counter() - start < SECONDS:
                group.add(_record(caller + n_callers * number), actor="bench")
                number += 1
            return number

        n_changes = sum(callers.map(add, range(n_callers)))
        return n_changes / (time.perf_counter() - start)


def _record(number: int) -> Records:
    return Records(
        vectors=np.random.default_rng(number).random((1, N_VALUES), dtype=np.float32),
        labels=np.zeros(1, dtype=np.int32),
        failure_modes=("pass",),
        ids=(f"r{number}",),
        parts=("",),
        groups=("",),
        splits=("",),
        times=("",),
        source="bench",
        heat_map_shape=SHAPE,
        pass_labels=(0,),
        value_range=(0.0, 1.0),
    )
