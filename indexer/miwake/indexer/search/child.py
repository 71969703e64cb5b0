"""``python -m miwake.indexer.search.child``: builds one index in a process of its own, which may die of it.

FAISS ends the whole process on some input, and the system does where there is too little memory: neither may take the
builder with it, or a server that builds. What was built stands in the file named; how it is to be searched, and how
well that agrees with exact search, goes to standard output as JSON.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from miwake.indexer.search.agreement import AgreementTest
from miwake.indexer.search.card import Agreement
from miwake.indexer.search.kinds import build_kind, efforts, least_probes
from miwake.indexer.search.proposing import ReferenceIndex, tune_faiss

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the child is told.

    Attributes
    ----------
    kind : text
    embeddings, index : text
        Paths of the embeddings to read and of the index to write.
    n_candidates : int
    target : float
        The effort of a search is raised until the worst agreement reaches this.
    most_share : float
        Of the lists of an inverted file that a search may look into.
    seed : int
    """

    kind: str
    embeddings: str
    index: str
    n_candidates: int
    target: float
    seed: int
    most_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the child tells: the parameters of a search, and how well it agrees with exact search."""

    parameters: dict[str, int]
    agreement: Agreement


def run_task(task: Task) -> Found:
    """Build the index, write it, and find the least effort with which searching it agrees enough."""
    import faiss  # noqa: PLC0415 - heavy, and the parent imports this module for its dataclasses

    tune_faiss()
    embeddings = np.asarray(np.load(task.embeddings, mmap_mode="r", allow_pickle=False))
    index, settled = build_kind(task.kind, embeddings, seed=task.seed)
    Path(task.index).write_bytes(faiss.serialize_index(index).data)
    test = AgreementTest(embeddings, task.n_candidates, seed=task.seed)
    least = least_probes(settled, n_references=len(embeddings), n_candidates=task.n_candidates)
    for parameters in efforts(task.kind, settled, least=least, most_share=task.most_share):
        found = Found(
            parameters=parameters,
            agreement=test.agreement(ReferenceIndex(embeddings, index, parameters)),
        )
        if found.agreement.worst >= task.target:
            break
    return found


def main() -> None:
    """Do the task in the first argument."""
    if sys.platform == "linux":
        # Nobody waits for the index of a builder that was killed, and its folder may be another's by then.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    found = run_task(Task(**json.loads(sys.argv[1])))
    sys.stdout.write(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
