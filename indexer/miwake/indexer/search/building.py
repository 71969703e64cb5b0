"""Building what searches the references of a generation: ``index.faiss`` and ``search.json``."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import IndexBuildError
from miwake.indexer.search.agreement import AgreementTest
from miwake.indexer.search.card import MIN_RECALL, SEARCH_FILE, Agreement, KindOrAuto, SearchCard
from miwake.indexer.search.child import Found, Task
from miwake.indexer.search.kinds import LARGEST_VALUE, LEAST_REFERENCES
from miwake.indexer.search.loading import INDEX_FILE
from miwake.indexer.search.proposing import exact_index
from miwake.indexer.storage.files import to_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

AUTO_FLAT_AT_MOST = 30_000
"""Up to so many references ``auto`` compares all: that costs about 0.13 ms a query, no more than embedding it."""

AUTO_KIND = "ivf-flat"
"""What ``auto`` takes from there on: on clustered data the fastest at equal agreement (docs/adr/0006)."""

AUTO_MOST_SHARE = 0.2
"""Of the lists: an index that must look into more of them is no faster than comparing all through BLAS."""

N_QUERIES_FLAT = 200
"""Nothing is tuned by the agreement of exact search, which can only lose to rounding."""

_PIECE = 65_536
_AT_COUNT = 8
"""Where FAISS's format of a flat index has the number of vectors, after four letters and the dimensions."""

_COUNT_SIZE = 8
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LAST_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """What a build may be told of searching.

    Attributes
    ----------
    kind : text
        ``auto``: by the number of references, and by what agrees.
    min_recall : float
        The least agreement with exact search, 0 … 1, that may be published.
    n_candidates : int
        How many references a query is compared with exactly.
    seed : int
    """

    kind: KindOrAuto = "auto"
    min_recall: float = MIN_RECALL
    n_candidates: int = 100
    seed: int = 0

    @property
    def target(self) -> float:
        """The agreement to tune for: over the bound by a quarter of what is left, for it is measured on a sample."""
        return self.min_recall + (1 - self.min_recall) / 4


def build_search(
    folder: Path,
    embeddings_file: str,
    settings: SearchSettings,
    *,
    report: Callable[[str], object] = lambda _: None,
) -> SearchCard:
    """Write ``index.faiss`` and ``search.json`` of the embeddings in a folder, and return what the latter says.

    Parameters
    ----------
    folder : Path
    embeddings_file : text
        Its file of (N, D) float32 embeddings.
    settings : SearchSettings
    report : callable
        Told what ``auto`` decides.

    Raises
    ------
    IndexBuildError
        If an index of the kind that was asked for cannot be built, or agrees too little with exact search.
    """
    path = folder / embeddings_file
    embeddings: NDArray[np.float32] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    card = _auto(path, embeddings, settings, report) if settings.kind == "auto" else None
    if card is None:
        card = _of_kind(settings.kind, path, embeddings, settings)
    (folder / SEARCH_FILE).write_bytes(to_json(card))
    return card


def _auto(
    path: Path, embeddings: NDArray[np.float32], settings: SearchSettings, report: Callable[[str], object]
) -> SearchCard:
    n_references = len(embeddings)
    if n_references <= AUTO_FLAT_AT_MOST:
        return _of_kind(
            "flat", path, embeddings, settings, reason=f"{n_references} references, flat up to {AUTO_FLAT_AT_MOST}"
        )
    try:
        return _of_kind(
            AUTO_KIND, path, embeddings, settings, reason=f"{n_references} references, more than {AUTO_FLAT_AT_MOST}"
        )
    except IndexBuildError as error:
        report(f"searching exactly instead: {error}")
        return _of_kind("flat", path, embeddings, settings, reason=f"{AUTO_KIND} was tried: {error}")


def _of_kind(
    kind: Any, path: Path, embeddings: NDArray[np.float32], settings: SearchSettings, *, reason: str = ""
) -> SearchCard:
    if kind == "flat":
        found = _flat(path, embeddings, settings)
    else:
        check_buildable(kind, embeddings)
        found = run_child(
            Task(
                kind=kind,
                embeddings=str(path),
                index=str(path.with_name(INDEX_FILE)),
                n_candidates=settings.n_candidates,
                target=settings.target,
                seed=settings.seed,
                most_share=AUTO_MOST_SHARE if settings.kind == "auto" else 1.0,
            )
        )
    if found.agreement.worst < settings.min_recall:
        message = (
            f"{kind}: {found.agreement.worst:.4f} of the ten nearest references found at its best, bound "
            f"{settings.min_recall:g}; nothing was published. Take --index-kind auto or flat, or a lower --min-recall"
        )
        raise IndexBuildError(message)
    return SearchCard(
        kind=kind,
        parameters=found.parameters,
        agreement=found.agreement,
        bound=settings.min_recall,
        asked=settings.kind,
        reason=reason,
    )


def _flat(path: Path, embeddings: NDArray[np.float32], settings: SearchSettings) -> Found:
    """Write the embeddings as FAISS keeps them.

    Without a child: nothing is trained that could die, and a child costs more than building a small station.
    """
    with path.with_name(INDEX_FILE).open("wb") as file:
        file.write(_flat_header(*embeddings.shape))
        for start in range(0, len(embeddings), _PIECE):
            file.write(np.ascontiguousarray(embeddings[start : start + _PIECE]).data)
    if len(embeddings) == 1:
        return Found(parameters={}, agreement=Agreement(references=1.0, between=1.0, n_queries=0))
    test = AgreementTest(embeddings, settings.n_candidates, seed=settings.seed, n_queries=N_QUERIES_FLAT)
    return Found(parameters={}, agreement=test.agreement(exact_index(embeddings)))


def _flat_header(n_references: int, n_dimensions: int) -> bytes:
    """Return what stands before the vectors in FAISS's format: an empty index's, with the two counts put in."""
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    empty: Any = faiss.IndexFlatL2(n_dimensions)
    header = bytearray(faiss.serialize_index(empty))
    struct.pack_into("<q", header, _AT_COUNT, n_references)
    struct.pack_into("<Q", header, len(header) - _COUNT_SIZE, n_references * n_dimensions)
    return bytes(header)


def check_buildable(kind: str, embeddings: NDArray[np.float32]) -> None:
    """Check what FAISS does not, or dies of.

    Raises
    ------
    IndexBuildError
        If there are too few embeddings for the kind, or one holds what is no number, or a huge one.
    """
    if len(embeddings) < LEAST_REFERENCES[kind]:
        message = f"{kind}: {len(embeddings)} references, expected at least {LEAST_REFERENCES[kind]}; flat takes any"
        raise IndexBuildError(message)
    for start in range(0, len(embeddings), _PIECE):
        sizes = np.abs(embeddings[start : start + _PIECE]).max(axis=1)
        bad = np.flatnonzero(~(sizes <= LARGEST_VALUE))
        if len(bad):
            message = (
                f"{kind}: the embedding of reference {start + int(bad[0])} holds {sizes[bad[0]]:g}, expected numbers "
                f"of a size up to {LARGEST_VALUE:g}; the embedder does not fit that vector"
            )
            raise IndexBuildError(message)


def run_child(task: Task) -> Found:
    """Do a task in a process of its own.

    Raises
    ------
    IndexBuildError
        If it dies, naming the kind and what it died of.
    """
    command = [sys.executable, "-m", "miwake.indexer.search.child", json.dumps(asdict(task))]
    environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    done = subprocess.run(  # noqa: S603 - our own module
        command, check=False, capture_output=True, text=True, errors="replace", env=environment
    )
    if done.returncode:
        raise IndexBuildError(_obituary(task.kind, done.returncode, done.stderr))
    stored = json.loads(done.stdout)
    return Found(parameters=stored["parameters"], agreement=Agreement(**stored["agreement"]))


def _obituary(kind: str, status: int, told: str) -> str:
    how = f"status {status}"
    if status < 0:
        how = signal.Signals(-status).name
        if -status == signal.SIGKILL:
            how += ", as the system does where memory is short"
    last = " / ".join(told.strip().splitlines()[-_LAST_LINES:]) or "it said nothing"
    return f"{kind}: the process that built the index ended with {how}; nothing was published. {last}"
