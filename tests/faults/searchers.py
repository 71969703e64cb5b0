"""Eight threads search a live index while another process changes, publishes and rolls back what they search.

Every answer names its generation and revision, and is compared with a search by hand in that revision's references.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faults.outcome import Outcome
from faults.steps import LINE
from faults.writer import EVERYTHING
from miwake.indexer.build import rebuild
from miwake.indexer.opening import follow, open_live
from miwake.indexer.soart3 import plain
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.answers import NeighbourBatch
    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.storage.reading import Snapshot

N_SEARCHERS = 8
N_QUERIES = 32
QUERIES_A_BATCH = 4
N_NEIGHBOURS = 5
POLL_S = 0.05
FEWEST_GENERATIONS = 2
LIMIT_S = 60.0
"""Within which several generations must have been searched beyond the time asked for."""

TOLERANCE = 2e-4
"""Between float32 in batches and float64 by hand; references that are nearer to each other may swap."""


class Answer(NamedTuple):
    """What one batch of queries was answered, and in which state."""

    generation: str
    revision: int
    rows: NDArray[np.intp]
    found: NeighbourBatch


class Search:
    """A live index that is taken over as a server does it, and what was answered from it."""

    def __init__(self, folder: Path, queries: NDArray[np.float32]) -> None:
        self._folder = folder
        self._queries = queries
        self._stop = threading.Event()
        self.index = open_live(folder)
        self.indexes = {self.index.generation: self.index}
        self.searched: set[str] = set()
        self.answers: list[Answer] = []
        self.errors: list[BaseException] = []

    def run(self, seconds: float) -> None:
        """Follow and search for so long, and until there were several generations."""
        work = [self._follow, *[lambda seed=seed: self._search(seed) for seed in range(N_SEARCHERS)]]
        threads = [threading.Thread(target=self._guarded, args=(one,)) for one in work]
        start = time.monotonic()
        for one in threads:
            one.start()
        while not self._stop.wait(POLL_S):
            passed_s = time.monotonic() - start
            if (passed_s >= seconds and len(self.searched) >= FEWEST_GENERATIONS) or passed_s >= seconds + LIMIT_S:
                self._stop.set()
        for one in threads:
            one.join()

    def _guarded(self, work: object) -> None:
        assert callable(work)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a thread that dies is what is looked for
            self.errors.append(error)
            self._stop.set()

    def _follow(self) -> None:
        station = StationFolder(self._folder)
        while not self._stop.is_set():
            if station.current().generation == self.index.generation:
                self.index = follow(self.index, self._folder)
            else:
                self.index = open_live(self._folder)
                self.indexes[self.index.generation] = self.index

    def _search(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not self._stop.is_set():
            index = self.index
            rows = rng.choice(len(self._queries), QUERIES_A_BATCH, replace=False)
            found = index.search(self._queries[rows], n_neighbours=N_NEIGHBOURS)
            self.searched.add(index.generation)
            self.answers.append(Answer(index.generation, index.revision, rows, found))


def search_while_writing(base: Path, folder: Path, seconds: float, seed: int) -> tuple[Outcome, Outcome]:
    """Search for so long, and return what came of it, and of a negative control: judged by another revision."""
    root = shutil.copytree(base, folder / "root")
    rebuild(StationFolder(root / LINE), settings=EVERYTHING)
    with ReferenceStore.open(root / LINE) as store:
        vectors = store.snapshot().vectors
    noise = np.random.default_rng(seed).normal(0, 3, (N_QUERIES, vectors.shape[1]))
    queries = (vectors[:N_QUERIES] + noise).clip(0, 255).astype(np.float32)
    search = Search(root / LINE, queries)
    writer = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "faults.writer", str(root), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    search.run(seconds)
    writer.communicate()
    outcome, control = Outcome(), Outcome()
    with outcome.judging(f"errors: {search.errors}; the writer ended with {writer.returncode}", "crashes"):
        assert not search.errors
        assert writer.returncode == 0
        assert len(search.searched) >= FEWEST_GENERATIONS
    judge(search, queries, root / LINE, outcome)
    judge(search, queries, root / LINE, control, shift=1)
    shutil.rmtree(root)
    return outcome, control


def judge(search: Search, queries: NDArray[np.float32], folder: Path, outcome: Outcome, *, shift: int = 0) -> None:
    """Compare every answer with a search by hand, at the revision that it claims, or ``shift`` before it."""
    by_state: dict[tuple[str, int], list[Answer]] = defaultdict(list)
    for one in search.answers:
        by_state[one.generation, one.revision].append(one)
    with ReferenceStore.open(folder) as store:
        for (generation, revision), answers in by_state.items():
            index = search.indexes[generation]
            by_hand = ByHand(index, store.snapshot(revision - shift), queries)
            for one in answers:
                with outcome.judging(f"{generation} at revision {revision}", "answers"):
                    by_hand.check(one)
    outcome.by_kind["states"] = len(by_state)
    outcome.by_kind["generations"] = len({generation for generation, _ in by_state})


class ByHand:
    """Every reference of a revision measured against every query, in float64."""

    def __init__(self, index: InspectionIndex, snapshot: Snapshot, queries: NDArray[np.float32]) -> None:
        embedder, calibration = index.contents.embedder, index.calibration
        embedded = embedder.embed(queries).astype(np.float64)
        references = embedder.embed(snapshot.vectors).astype(np.float64)
        self.distances = np.linalg.norm(embedded[:, None] - references, axis=2)
        settings = calibration.rerank
        if settings.space == "raw":
            low, high = embedder.card.value_range
            embedded, references = (
                (one.astype(np.float64) - low) / (high - low) for one in (queries, snapshot.vectors)
            )
        everyone = np.broadcast_to(references, (len(embedded), *references.shape))
        measured = plain.measures(embedded, everyone, p_eta=settings.p_eta, p_gamma=settings.p_gamma)
        scores = calibration.mix.scores(measured.beta, measured.eta, measured.gamma)
        self.match_distances = calibration.mix.distances(scores)
        self.nearest = np.sort(self.match_distances, axis=1)[:, :N_NEIGHBOURS]
        self.rows = {one: row for row, one in enumerate(snapshot.ids)}
        self.labels, self.failure_modes = snapshot.labels, snapshot.failure_modes

    def check(self, answer: Answer) -> None:
        """Check that the neighbours are there, bear their labels, and are the nearest.

        Raises
        ------
        AssertionError
            If not.
        """
        found = answer.found
        for query, row in enumerate(answer.rows.tolist()):
            missing = set(found.ids[query]) - self.rows.keys()
            assert not missing, f"{missing} are not there"
            there = [self.rows[one] for one in found.ids[query]]
            assert found.labels[query].tolist() == self.labels[there].tolist()
            assert list(found.failure_modes[query]) == [self.failure_modes[one] for one in there]
            assert np.abs(found.distances[query] - self.distances[row, there]).max() < TOLERANCE
            assert np.abs(found.match_distances[query] - self.match_distances[row, there]).max() < TOLERANCE
            assert np.abs(found.match_distances[query] - self.nearest[row]).max() < TOLERANCE
