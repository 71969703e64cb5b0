"""Filling the folder of a generation: its references, then all that is found out about them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miwake.indexer.anchors import ANCHORS_FILE
from miwake.indexer.building.anchor_choice import choose_anchors
from miwake.indexer.building.anchor_fitting import Members
from miwake.indexer.building.reuse import EMBEDDINGS_FILE
from miwake.indexer.building.streaming import BATCH, stream_references
from miwake.indexer.canaries import CANARIES_FILE, canary_rows, make_canaries
from miwake.indexer.errors import StoreError
from miwake.indexer.opening import RAW_FILE, load
from miwake.indexer.search.building import SearchSettings, build_search
from miwake.indexer.search.loading import load_index
from miwake.indexer.search.pool import Pool, propose_among
from miwake.indexer.search.recall import RECALL_FILE, measure_recall
from miwake.indexer.search.rows import to_unit_scale
from miwake.indexer.soart3.kernel import measures_by_id
from miwake.indexer.storage.array_file import ArrayWriter
from miwake.indexer.storage.files import to_json
from miwake.indexer.storage.reference_files import ReferenceFiles, map_array
from miwake.indexer.storage.room import check_room, generation_bytes
from miwake.indexer.verdict.calibrate import Calibrated, calibrate
from miwake.indexer.verdict.calibration import CALIBRATION_FILE, Calibration
from miwake.indexer.verdict.measuring import Sample
from miwake.indexer.verdict.offering import OfferedMaps
from miwake.indexer.verdict.roles import calibration_rows
from miwake.indexer.verdict.scores import SCORES_FILE, CalibrationScores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.anchors import Anchors
    from miwake.indexer.building.build_settings import BuildSettings
    from miwake.indexer.building.reuse import KnownEmbeddings
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.search.proposing import ReferenceIndex
    from miwake.indexer.storage.schema import StationSchema
    from miwake.indexer.storage.store import ReferenceStore

Report = Callable[[str], None]
"""Is told of each step as it begins."""

Advance = Callable[[int, int], None]
"""Is told how many references of how many are done."""


class Steps:
    """Tells each step as it begins, and takes its time.

    Attributes
    ----------
    seconds : mapping
        Of each step.
    report : callable
        Is told what is being done.
    """

    def __init__(self, report: Report) -> None:
        self.seconds: dict[str, float] = {}
        self.report = report

    @contextmanager
    def timed(self, step: str, what: str) -> Iterator[None]:
        """Tell ``what`` is being done, and take the time until it is."""
        self.report(what)
        start = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - start, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a generation is made from: a revision of a store, an embedder, and embeddings that are known.

    Attributes
    ----------
    store : ReferenceStore
    revision, n_references : int
    embedder : Embedder
    known : KnownEmbeddings or None
    """

    store: ReferenceStore
    revision: int
    n_references: int
    embedder: Embedder
    known: KnownEmbeddings | None

    @classmethod
    def of(cls, store: ReferenceStore, embedder: Embedder, known: KnownEmbeddings | None) -> Source:
        """Return the latest revision of a store as a source.

        Raises
        ------
        StoreError
            If it has no references.
        """
        revision, n_references = store.revision, store.n_references
        if not n_references:
            message = f"{store.path.parent}: no references at revision {revision}"
            raise StoreError(message)
        return cls(store=store, revision=revision, n_references=n_references, embedder=embedder, known=known)

    @property
    def schema(self) -> StationSchema:
        """What all references have in common."""
        return self.store.schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What a folder was filled with.

    Attributes
    ----------
    calibration : Calibration
    scores : CalibrationScores
        What the calibration rows answered.
    n_reused : int
        Embeddings that were known before.
    hashes : mapping of file name to SHA-256
        Of what was hashed while it was written.
    """

    calibration: Calibration
    scores: CalibrationScores
    n_reused: int
    hashes: dict[str, str]


def fill(folder: Path, source: Source, settings: BuildSettings, steps: Steps, advance: Advance) -> Filled:
    """Write everything that a generation holds but its manifest.

    Raises
    ------
    NoRoomError
        If the disk has not the room for it.
    CalibrationError
        If the references cannot show what calibration must know.
    """
    card, n_references = source.embedder.card, source.n_references
    check_room(folder, generation_bytes(n_references, n_values=card.n_values, n_dimensions=card.n_dimensions))
    with steps.timed("embed", f"reading and embedding {n_references} references"):
        batches = source.store.batches(source.revision, size=BATCH)
        streamed = stream_references(
            folder, batches, n_references, source.embedder, known=source.known, advance=advance
        )
    references = ReferenceFiles.open(folder)
    embeddings: NDArray[np.float32] = map_array(folder / EMBEDDINGS_FILE, np.float32, 2)
    searching = SearchSettings(
        kind=settings.index_kind,
        min_recall=settings.min_recall,
        n_candidates=settings.n_candidates,
        seed=settings.seed,
    )
    with ThreadPoolExecutor(1, thread_name_prefix="index") as pool:
        built = pool.submit(build_search, folder, EMBEDDINGS_FILE, searching, report=steps.report)
        with steps.timed("calibrate", "calibrating, and building the index beside it"):
            calibrated = _calibrate(
                folder, references, embeddings, source, settings, lambda: load_index(folder, built.result(), embeddings)
            )
            (folder / CALIBRATION_FILE).write_bytes(to_json(calibrated.calibration))
            built.result()
            finishing = Finishing(calibrated.calibration, _canary_templates(references, source, calibrated.calibration))
            finished = pool.submit(_finish, folder, references, source, finishing, settings.seed, steps)
            scores = calibrated.answer()
            (folder / SCORES_FILE).write_bytes(scores.to_npz())
            hashes = streamed.hashes | finished.result()
    return Filled(
        calibration=calibrated.calibration,
        scores=scores,
        n_reused=streamed.n_reused,
        hashes=hashes,
    )


class Finishing(NamedTuple):
    """What finishing a generation needs of its calibration, and the templates of its canaries, if it weighs any."""

    calibration: Calibration
    templates: NDArray[np.float32] | None


def _canary_templates(
    references: ReferenceFiles, source: Source, calibration: Calibration
) -> NDArray[np.float32] | None:
    if calibration.reference_map != "template":
        return None
    return _templates(references, source, canary_rows(references.labels))


def _templates(references: ReferenceFiles, source: Source, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the templates (n, V) of some references, rows of NaN where there is none; in the store's own thread."""
    found = source.store.templates(references.texts("id", rows), source.revision)
    return np.full((len(rows), source.schema.n_values), np.nan, dtype=np.float32) if found is None else found


def _finish(
    folder: Path, references: ReferenceFiles, source: Source, finishing: Finishing, seed: int, steps: Steps
) -> dict[str, str]:
    """Write what is found out with the finished index, and return the hashes of what was hashed on the way."""
    hashes = {}
    with steps.timed("index", "finishing the index"):
        if finishing.calibration.rerank.space == "raw":
            hashes[RAW_FILE] = _write_raw(folder, references.vectors, source.embedder.card.value_range)
        index = load(folder, source.embedder, source.schema, station="", generation="", revision=source.revision)
        canaries = make_canaries(index, references.vectors, references.labels, finishing.templates)
        (folder / CANARIES_FILE).write_bytes(canaries.to_npz())
    with steps.timed("recall", "comparing the candidates with all references"):
        recall = measure_recall(index.contents, seed=seed)
        if recall is not None:
            (folder / RECALL_FILE).write_bytes(to_json(recall))
    return hashes


def _calibrate(
    folder: Path,
    references: ReferenceFiles,
    embeddings: NDArray[np.float32],
    source: Source,
    settings: BuildSettings,
    wait_for_index: Callable[[], ReferenceIndex],
) -> Calibrated:
    """Fit anchors and calibration, and write the anchors.

    What is fitted is compared with all references while the index is built; further rows are answered through it.
    """
    labels, card = references.labels, source.embedder.card
    everything = np.arange(len(references))
    parts = references.texts("part", everything)
    calibrates = calibration_rows(references.texts("row_hash", everything), parts, labels, card.fit_row_hashes)
    chosen = choose_anchors(
        Members(references.vectors, embeddings, labels),
        source.embedder,
        held_out=calibrates,
        kind=settings.anchors,
        per_class=settings.anchors_per_class,
        seed=settings.seed,
    )
    (folder / ANCHORS_FILE).write_bytes(chosen.anchors.to_npz())
    pool = Pool(np.flatnonzero(~calibrates), everything[:0])

    def find_more(queries: NDArray[np.float32], n_candidates: int) -> NDArray[np.int64]:
        positions = propose_among(pool, wait_for_index(), queries, n_candidates)
        distances = measures_by_id(queries, embeddings, positions).distance
        return np.take_along_axis(positions, distances.argsort(axis=1)[:, :n_candidates], axis=1)

    sample = Sample(
        embeddings=embeddings,
        vectors=references.vectors,
        labels=labels,
        value_range=card.value_range,
        maps=_offered_maps(references, source, settings, chosen.without_calibration),
    )
    calibrated = calibrate(
        sample,
        calibrates,
        parts,
        chosen.without_calibration.distances,
        source.schema.pass_labels,
        n_candidates=settings.n_candidates,
        n_voting=settings.n_voting,
        seed=settings.seed,
        find_more=find_more,
    )
    evidence = replace(calibrated.calibration.evidence, anchor_accuracy=chosen.accuracy)
    return replace(calibrated, calibration=replace(calibrated.calibration, evidence=evidence))


def _offered_maps(
    references: ReferenceFiles, source: Source, settings: BuildSettings, anchors: Anchors
) -> OfferedMaps | None:
    """Return what maps the calibration rows may be compared with; ``anchors`` are those without these rows."""
    if settings.reference_map == "off":
        return None
    templates = partial(_templates, references, source) if source.store.has_templates else None
    shape = source.embedder.card.heat_map_shape
    return OfferedMaps.of(settings.reference_map, shape, anchors, source.schema.pass_labels, templates)


def _write_raw(folder: Path, vectors: NDArray[np.float32], value_range: tuple[float, float]) -> str:
    check_room(folder, vectors.nbytes)
    with ArrayWriter(folder / RAW_FILE, *vectors.shape) as writer:
        for start in range(0, len(vectors), BATCH):
            writer.append(to_unit_scale(vectors[start : start + BATCH], value_range))
        return writer.finish()
