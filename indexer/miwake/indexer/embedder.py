"""The embedder artifact: a folder with ``embedder.onnx`` and ``embedder.json``, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError, EmbedderError, InvalidVectorError
from miwake.indexer.health.limits import HealthGauge, InputHealth
from miwake.indexer.scale import Scale
from miwake.indexer.storage.files import read_json, to_json, write_durably

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime
    from numpy.typing import NDArray

MODEL_FILE = "embedder.onnx"
CARD_FILE = "embedder.json"
FORMAT_VERSION = 1
INPUT_NAME = "vectors"
OUTPUT_NAME = "embeddings"
BATCH = 64
"""Vectors a run: past this size a core gains nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderCard:
    """What ``embedder.json`` says about the model beside it.

    Attributes
    ----------
    n_values, n_dimensions : int
        V and D.
    heat_map_shape : (rows, columns)
        rows x columns = V.
    value_range : (low, high)
        The scale of the vectors it was trained on.
    normalisation : text
        What the graph does to raw values first; it is part of ``embedder.onnx``.
    labels, pass_labels : tuple of int
        The classes it was trained on, sorted, and those among them that mean *pass*.
    preset, settings : text, mapping
        How it was trained.
    data_fingerprint : text
        SHA-256 over the row hashes of everything that training was given, in order.
    fit_row_hashes : tuple of text
        ``Records.row_hashes`` of the rows it was fitted on, sorted: an evaluation on them is refused.
    metrics : mapping
        Held-out figures measured at the end of training.
    health : InputHealth or None
        What is ordinary for an input; None where there were too few rows to learn it, or an earlier release trained.
    sha256 : text
        Of ``embedder.onnx``.
    """

    n_values: int
    n_dimensions: int
    heat_map_shape: tuple[int, int]
    value_range: tuple[float, float]
    normalisation: str
    labels: tuple[int, ...]
    pass_labels: tuple[int, ...]
    preset: str
    settings: Mapping[str, Any]
    data_fingerprint: str
    fit_row_hashes: tuple[str, ...]
    sha256: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    health: InputHealth | None = None
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.health is not None and len(self.health.anchor) != self.n_values:
            message = f"health: an anchor of {len(self.health.anchor)} values, expected {self.n_values}"
            raise ValueError(message)

    @property
    def embedder_id(self) -> str:
        """The first twelve hexadecimal digits of the model's SHA-256."""
        return self.sha256[:12]


def write_embedder(folder: Path, model: bytes, card: EmbedderCard) -> None:
    """Write both files of an artifact durably; the card, which names the model's hash, comes last."""
    if hashlib.sha256(model).hexdigest() != card.sha256:
        message = f"{folder}: the card names another model (sha256 {card.sha256[:12]})"
        raise EmbedderError(message)
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / MODEL_FILE, model)
    write_durably(folder / CARD_FILE, to_json(card))


def read_card(folder: Path) -> EmbedderCard:
    """Read ``embedder.json``.

    Raises
    ------
    ArtifactCorruptError, ArtifactVersionError
        If it is missing, damaged, or of another format version.
    """
    return read_json(folder / CARD_FILE, EmbedderCard, FORMAT_VERSION)


class Embedder:
    """A verified embedder artifact, ready to run on one thread."""

    def __init__(self, card: EmbedderCard, session: onnxruntime.InferenceSession) -> None:
        self.card = card
        self._session = session
        self._gauge = None if card.health is None else HealthGauge(card.health, card.heat_map_shape, card.value_range)

    @classmethod
    def open(cls, folder: Path) -> Embedder:
        """Verify and load the artifact in ``folder``.

        Raises
        ------
        ArtifactCorruptError, ArtifactVersionError
            If a file is missing, damaged, or of another format version.
        EmbedderError
            If ONNX Runtime cannot run the model, or its shapes are not those of the card.
        """
        card = read_card(folder)
        path = folder / MODEL_FILE
        try:
            model = path.read_bytes()
        except OSError as error:
            message = f"{path}: cannot be read: {error.strerror}"
            raise ArtifactCorruptError(message) from error
        if hashlib.sha256(model).hexdigest() != card.sha256:
            message = f"{path}: sha256 differs from the one in {CARD_FILE}"
            raise ArtifactCorruptError(message)
        return cls(card, _session(model, path, card))

    def scale(self, flatness: float | None = None) -> Scale:
        """Return the scale that vectors must keep to, with the station's flatness bound where it has one."""
        low, high = self.card.value_range
        if flatness is None:
            return Scale(n_values=self.card.n_values, low=low, high=high)
        return Scale(n_values=self.card.n_values, low=low, high=high, flatness=flatness)

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embeddings (Q, D) float32 of inspection vectors (Q, V) float32.

        Raises
        ------
        InvalidVectorError
            If the batch is not (Q, V).
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.card.n_values:
            raise InvalidVectorError(expected=f"(Q, {self.card.n_values})", actual=vectors.shape)
        embeddings = np.empty((len(vectors), self.card.n_dimensions), dtype=np.float32)
        for start in range(0, len(vectors), BATCH):
            batch = np.ascontiguousarray(vectors[start : start + BATCH], dtype=np.float32)
            (embeddings[start : start + BATCH],) = self._session.run([OUTPUT_NAME], {INPUT_NAME: batch})
        return embeddings

    def health(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far (Q, V) float32 inspection vectors lie from what is ordinary, as ``HealthGauge.deviations``.

        (Q, 6) float32; (Q, 0) where the artifact does not say what is ordinary.
        """
        if self._gauge is None:
            return np.empty((len(vectors), 0), dtype=np.float32)
        return self._gauge.deviations(vectors)


def _session(model: bytes, path: Path, card: EmbedderCard) -> onnxruntime.InferenceSession:
    import onnxruntime  # noqa: PLC0415 - heavy; readers of the card alone do not pay for it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        message = f"{path}: ONNX Runtime cannot load it: {error}"
        raise EmbedderError(message) from error
    inputs = {one.name: one.shape for one in session.get_inputs()}
    outputs = {one.name: one.shape for one in session.get_outputs()}
    width, depth = inputs.get(INPUT_NAME, [None, None])[-1], outputs.get(OUTPUT_NAME, [None, None])[-1]
    if (width, depth) != (card.n_values, card.n_dimensions):
        message = (
            f"{path}: takes {inputs} and gives {outputs}, expected {INPUT_NAME!r} of {card.n_values} values "
            f"and {OUTPUT_NAME!r} of {card.n_dimensions}"
        )
        raise EmbedderError(message)
    return session
