"""The Python client as a load: ``python -m bench.service.client_load ADDRESS QUERIES.npy N WAY``.

``singly`` hands vectors over one by one, faster than any server answers: the client gathers them. ``batches`` hands
over 64 at a time. Both read all that each answer holds, answer by answer, as somebody would who stores it.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from miwake.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from miwake.client import Answer

BATCH = 64
N_AT_ONCE = 2
"""Batches on their way: while the server computes one, this process packs and unpacks the other."""

WARM_UP = 256
DEFAULT_NEIGHBOURS = 15


def inspect_singly(client: Client, queries: NDArray[np.float32], n_vectors: int) -> int:
    """Stream vectors one by one; return how many whole verdicts came back."""
    return sum(map(read, client.inspect(islice(cycle(queries), n_vectors))))


def classify_batches(client: Client, queries: NDArray[np.float32], n_vectors: int) -> int:
    """Ask for batches, a few at once; return how many whole verdicts came back."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - threads are of this way only

    waiting: deque[Future[list[Answer]]] = deque()
    n_verdicts = 0
    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        for batch in islice(_batches(queries), n_vectors // BATCH):
            waiting.append(pool.submit(client.classify, batch))
            if len(waiting) > N_AT_ONCE:
                n_verdicts += _count(waiting.popleft())
        return n_verdicts + sum(map(_count, waiting))


def _batches(queries: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return cycle([queries[start : start + BATCH] for start in range(0, len(queries) - BATCH + 1, BATCH)])


def _count(answers: Future[list[Answer]]) -> int:
    return sum(map(read, answers.result()))


def read(answer: Answer) -> bool:
    """Read every field of an answer; return whether it is a verdict with all its evidence."""
    verdict = answer.verdict
    if verdict is None or verdict.health is None:
        return False
    anchors, neighbours, health = verdict.anchors, verdict.neighbours, verdict.health
    _ = (
        (answer.id, answer.sequence, answer.context, answer.provenance),
        (verdict.label, verdict.failure_mode, verdict.decision, verdict.reasons, verdict.novelty, verdict.margin),
        (verdict.probability, verdict.reject_probability, verdict.method, verdict.method_labels, verdict.residuals),
        (health.mean, health.spread, health.gain, health.focus, health.saturation, health.dead_lines),
        (anchors.labels, anchors.distances),
        (neighbours.ids, neighbours.labels, neighbours.failure_modes, neighbours.distances),
        (neighbours.betas, neighbours.etas, neighbours.gammas, neighbours.match_distances),
    )
    return len(neighbours.ids) == DEFAULT_NEIGHBOURS and len(anchors.labels) > 0


WAYS = {"singly": inspect_singly, "batches": classify_batches}


def main(address: str, queries_path: str, n_vectors: int, way: str) -> None:
    queries = np.load(queries_path)
    ask = WAYS[way]
    with Client(address) as client:
        ask(client, queries, WARM_UP)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        begin, busy = time.perf_counter(), time.process_time()
        n_verdicts = ask(client, queries, n_vectors)
        found = {"elapsed_s": time.perf_counter() - begin, "client_s": time.process_time() - busy}
    assert n_verdicts == n_vectors, n_verdicts
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
