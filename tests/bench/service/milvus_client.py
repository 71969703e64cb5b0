"""The same job with Milvus as the index; runs in an environment of its own, since pymilvus wants other libraries.

``python milvus_client.py fill PORT FOLDER`` puts the references in and sets the search's effort.
``python milvus_client.py run PORT FOLDER JSON`` is a load like the others: it says ``ready``, goes when told, and tells
what it took. A batch is embedded by ONNX Runtime, searched by Milvus, re-ranked by SOART3 with miwake's own compiled
loop, and compared with every anchor. The references are held here, or their vectors come with the search's results.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.soart3.kernel import measures_by_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

COLLECTION, ID, VECTOR = "references_", "id", "embedding"
ROWS_AT_ONCE = 10_000
PROBES = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128)
WARM_UP = 10


class Pipeline:
    """Embeds, searches, re-ranks and compares with the anchors."""

    def __init__(self, collection: Any, folder: Path, *, n_probes: int, fetches: bool) -> None:
        import onnxruntime  # noqa: PLC0415 - filling does without

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(folder / "embedder.onnx", options)
        self._collection = collection
        self._job = dict(np.load(folder / "job.npz"))
        self._references: Array = np.load(folder / "embeddings.npy")
        self._n_probes = n_probes
        self._fetches = fetches

    def judge(self, vectors: Array) -> tuple[Array, ...]:
        """Return the best K references' ids, labels and measures, and the anchors with their distances, in order."""
        job = self._job
        (embedded,) = self._session.run(None, {self._session.get_inputs()[0].name: vectors})
        n_candidates = int(job["n_candidates"])
        hits = search(
            self._collection, embedded, n_candidates, self._n_probes, output_fields=[VECTOR] if self._fetches else None
        )
        ids = np.array([list(one.ids) for one in hits], dtype=np.int64)
        if self._fetches:
            fetched = np.array([[hit.entity.get(VECTOR) for hit in one] for one in hits], dtype=np.float32)
            places = np.arange(ids.size, dtype=np.int64).reshape(ids.shape)
            found = measures_by_id(embedded, fetched.reshape(ids.size, -1), places, **self._powers())
        else:
            found = measures_by_id(embedded, self._references, ids, **self._powers())
        scale, deviation, spread = job["weights"]
        scores = scale * np.abs(found.beta - 1.0) + deviation * found.eta + spread * found.gamma
        best = np.argsort(scores, axis=1, kind="stable")[:, : int(job["n_neighbours"])]
        anchors = np.linalg.norm(embedded[:, None] - job["anchors"], axis=2)
        order = anchors.argsort(axis=1)
        shown = (ids, job["labels"][ids], found.distance, found.beta, found.eta, found.gamma, scores)
        evidence = [np.take_along_axis(column, best, axis=1) for column in shown]
        return (*evidence, job["anchor_labels"][order], np.take_along_axis(anchors, order, axis=1))

    def _powers(self) -> dict[str, int]:
        p_eta, p_gamma = self._job["powers"].tolist()
        return {"p_eta": p_eta, "p_gamma": p_gamma}


def connect(port: int) -> Any:
    """Return the module with the client, connected."""
    import pymilvus  # type: ignore[import-not-found] # noqa: PLC0415 - not there for the others

    pymilvus.connections.connect(host="127.0.0.1", port=port)
    return pymilvus


def search(
    collection: Any, embedded: Array, n_candidates: int, n_probes: int, *, output_fields: list[str] | None = None
) -> Any:
    """Return Milvus's hits; it need not wait for writes, of which there are none."""
    return collection.search(
        embedded,
        VECTOR,
        {"metric_type": "L2", "params": {"nprobe": n_probes}},
        limit=n_candidates,
        output_fields=output_fields,
        consistency_level="Eventually",
    )


def fill(port: int, folder: Path) -> dict[str, float]:
    """Put the references in, and return the least effort that finds as many of the nearest as miwake does."""
    milvus = connect(port)
    references, job = np.load(folder / "embeddings.npy"), np.load(folder / "job.npz")
    schema = milvus.CollectionSchema(
        [
            milvus.FieldSchema(ID, milvus.DataType.INT64, is_primary=True),
            milvus.FieldSchema(VECTOR, milvus.DataType.FLOAT_VECTOR, dim=references.shape[1]),
        ]
    )
    collection = milvus.Collection(COLLECTION, schema)
    for start in range(0, len(references), ROWS_AT_ONCE):
        rows = references[start : start + ROWS_AT_ONCE]
        collection.insert([list(range(start, start + len(rows))), list(rows)])
    collection.flush()
    index = {"index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": int(job["n_lists"])}}
    collection.create_index(VECTOR, index)
    milvus.utility.wait_for_index_building_complete(COLLECTION)
    collection.load()
    return _effort(collection, job)


def _effort(collection: Any, job: Any) -> dict[str, float]:
    asked, nearest = job["asked"], job["nearest"]
    recall = 0.0
    for n_probes in PROBES:
        hits = search(collection, asked, nearest.shape[1], n_probes)
        found = [len(np.intersect1d(list(one.ids), row)) for one, row in zip(hits, nearest, strict=True)]
        recall = sum(found) / nearest.size
        if recall >= job["recall"]:
            break
    return {"n_probes": n_probes, "recall": recall}


def run(port: int, folder: Path, plan: dict[str, Any]) -> None:
    """Ask for so many vectors in batches of a size, a few at once, and print what it took."""
    milvus = connect(port)
    pipeline = Pipeline(
        milvus.Collection(COLLECTION), folder, n_probes=int(plan["n_probes"]), fetches=bool(plan["fetches"])
    )
    queries, size = np.load(plan["queries"]), int(plan["size"])
    batches = [queries[start : start + size] for start in range(0, len(queries) - size + 1, size)]
    _judge_all(pipeline, batches, WARM_UP, 1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    begin, busy = time.perf_counter(), time.process_time()
    _judge_all(pipeline, batches, int(plan["n_batches"]), int(plan["n_at_once"]))
    found = {"elapsed_s": time.perf_counter() - begin, "client_s": time.process_time() - busy}
    sys.stdout.write(json.dumps(found) + "\n")


def _judge_all(pipeline: Pipeline, batches: list[Array], n_batches: int, n_at_once: int) -> None:
    waiting: deque[Any] = deque()
    with ThreadPoolExecutor(n_at_once) as pool:
        for batch in islice(cycle(batches), n_batches):
            waiting.append(pool.submit(pipeline.judge, batch))
            if len(waiting) >= 2 * n_at_once:
                waiting.popleft().result()
        for one in waiting:
            one.result()


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        sys.stdout.write(json.dumps(fill(int(sys.argv[2]), Path(sys.argv[3]))) + "\n")
    else:
        run(int(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4]))
