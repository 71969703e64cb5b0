"""What the candidates hold of the best matches: measured by a build, told by ``describe``, and right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from miwake.indexer.build import build
from miwake.indexer.cli import app
from miwake.indexer.errors import ArtifactVersionError
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.search.options import SearchOptions
from miwake.indexer.search.recall import CandidateRecall, measure_recall, read_recall
from miwake.indexer.storage.files import to_json
from miwake.indexer.telling.describe import describe
from miwake.indexer.verdict.calibration import Space
from support.blobs import blob_records
from support.embedders import linear_discriminants

N_PARTS = 100
"""Two references each: few enough that every one of them is a query."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recall")
    records = blob_records(N_PARTS)
    linear_discriminants(folder / "embedder", records)
    build(folder / "store", "line1", records, folder / "embedder")
    return folder / "store"


@pytest.fixture(scope="module")
def index(store: Path) -> InspectionIndex:
    return open_index(store / "line1")


def share_by_hand(index: InspectionIndex, n_candidates: int) -> float:
    """Return the share of the 15 best of other parts that are among the nearest of other parts, over all references."""
    references = index.contents.references
    everything = index.search(
        np.array(references.vectors), n_neighbours=len(references), options=SearchOptions(exhaustive=True)
    )
    parts = np.array(references.texts("part", np.arange(len(references))))
    hits = 0
    for row, (positions, distances) in enumerate(zip(everything.positions, everything.distances, strict=True)):
        is_other = parts[positions] != parts[row]
        best = positions[is_other][:15]
        nearest = positions[is_other][np.argsort(distances[is_other], kind="stable")][:n_candidates]
        hits += len(set(best.tolist()) & set(nearest.tolist()))
    return hits / (15 * len(references))


@pytest.mark.parametrize(("space", "n_candidates"), [("raw", 20), ("raw", 60), ("embedding", 16)])
def test_the_share_is_that_of_a_count_by_hand(index: InspectionIndex, space: Space, n_candidates: int) -> None:
    raw = index.contents.references.vectors / np.float32(255)
    rerank = replace(index.calibration.rerank, space=space, n_candidates=n_candidates)
    contents = replace(index.contents, calibration=replace(index.calibration, rerank=rerank), raw=raw)

    measured = measure_recall(contents)

    assert measured is not None
    assert (measured.n_queries, measured.n_neighbours, measured.n_candidates) == (2 * N_PARTS, 15, n_candidates)
    assert measured.share == pytest.approx(share_by_hand(InspectionIndex(contents), n_candidates), abs=1e-3)
    assert measured.worst_query <= measured.share < 1


def test_a_build_measures_it_and_describe_tells_it(store: Path, index: InspectionIndex) -> None:
    measured = measure_recall(index.contents)

    told = json.loads(CliRunner().invoke(app, ["describe", "--store", str(store), "--json"]).stdout)
    shown = CliRunner().invoke(app, ["describe", "--store", str(store)]).stdout

    assert describe(store / "line1").recall == measured
    assert measured is not None
    assert told["recall"]["share"] == measured.share
    assert f"the 100 candidates hold {measured.share:.2%} of the 15 best matches among all references" in shown


def test_one_part_alone_has_nothing_to_measure(index: InspectionIndex) -> None:
    class OnePart:
        """References that are all of one part."""

        vectors = index.contents.references.vectors

        def codes(self, column: str) -> tuple[np.ndarray, tuple[str, ...]]:
            assert column == "part"
            return np.zeros(2, dtype=np.int32), ("part 1",)

        def texts(self, column: str, positions: np.ndarray) -> tuple[str, ...]:
            return index.contents.references.texts(column, positions)

    references: object = OnePart()

    assert measure_recall(replace(index.contents, references=references)) is None  # type: ignore[arg-type]


def test_a_generation_from_before_has_no_figure(tmp_path: Path) -> None:
    assert read_recall(tmp_path) is None


def test_another_format_is_refused_by_name(tmp_path: Path) -> None:
    stored = CandidateRecall(share=1.0, worst_query=1.0, n_queries=1, n_neighbours=1, n_candidates=1, format_version=2)
    (tmp_path / "recall.json").write_bytes(to_json(stored))

    with pytest.raises(ArtifactVersionError, match=r"recall\.json.*version 2"):
        read_recall(tmp_path)
