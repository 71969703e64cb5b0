"""The features that an exported embedder pools before its last linear layer, read out of its ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

from miwake.indexer.embedder import BATCH, INPUT_NAME, MODEL_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class PooledFeatures:
    """Runs an embedder up to what its last linear layer takes."""

    def __init__(self, folder: Path) -> None:
        model = onnx.load(str(folder / MODEL_FILE))
        last = [node for node in model.graph.node if node.op_type == "Gemm"][-1]
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._name = last.input[0]
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def of(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features (N, F) float32 of raw vectors (N, V) float32."""
        starts = range(0, len(vectors), BATCH)
        found = [self._session.run([self._name], {INPUT_NAME: vectors[at : at + BATCH]})[0] for at in starts]
        features: NDArray[np.float32] = np.concatenate(found)
        return features
