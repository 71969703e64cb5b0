"""Asks a server as a Triton client does; runs in an environment of its own, since that client wants an older protobuf.

``python triton_script.py ADDRESS STATION VECTORS.npy`` prints one JSON object.
"""

from __future__ import annotations

import json
import queue
import sys
from typing import Any

import numpy as np

SCALARS = ("label", "decision", "failure_mode", "probability")


def main(address: str, station: str, path: str) -> dict[str, Any]:
    import tritonclient.grpc as triton  # type: ignore[import-not-found] # noqa: PLC0415 - not there for the others

    vectors = np.load(path)
    client = triton.InferenceServerClient(address)
    tensor = triton.InferInput("vectors", list(vectors.shape), "FP32")
    tensor.set_data_from_numpy(vectors)
    wanted = [triton.InferRequestedOutput(name) for name in (*SCALARS, "neighbour_ids")]
    result = client.infer(station, [tensor], outputs=wanted, request_id="7", parameters={"n_neighbours": 3})
    described = client.get_model_metadata(station)
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(station),
        "other_ready": client.is_model_ready(station, "g999999"),
        "name": client.get_server_metadata().name,
        "inputs": [[one.name, one.datatype, list(one.shape)] for one in described.inputs],
        "id": result.get_response().id,
        "version": result.get_response().model_version,
        "refused": refused(triton, client, station, vectors),
        "streamed": streamed(triton, client, station, vectors),
        **{name: plain(result.as_numpy(name)) for name in SCALARS},
        "neighbour_ids": [plain(row) for row in result.as_numpy("neighbour_ids")],
    }


def plain(values: Any) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]


def refused(triton: Any, client: Any, station: str, vectors: Any) -> str:
    bad = vectors.copy()
    bad[1] = np.nan
    tensor = triton.InferInput("vectors", list(bad.shape), "FP32")
    tensor.set_data_from_numpy(bad)
    try:
        client.infer(station, [tensor])
    except triton.InferenceServerException as error:
        return f"{error.status()} {error.message()}"
    return "answered"


def streamed(triton: Any, client: Any, station: str, vectors: Any) -> list[Any]:
    """Stream one vector a request, one of them wrong in the middle."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for row in (vectors[:1], vectors[:1, :5], vectors[1:2]):
        tensor = triton.InferInput("vectors", list(row.shape), "FP32")
        tensor.set_data_from_numpy(row)
        client.async_stream_infer(station, [tensor])
    received = [answers.get(timeout=60) for _ in range(3)]
    client.stop_stream()
    return [str(error) if error else int(result.as_numpy("label")[0]) for result, error in received]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
