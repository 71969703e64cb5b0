"""Stations searched by every kind of index: built, published, opened and asked; and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from miwake.indexer.build import build, rebuild
from miwake.indexer.building.build_settings import BuildSettings
from miwake.indexer.errors import ArtifactCorruptError, IndexBuildError
from miwake.indexer.opening import load, open_index
from miwake.indexer.records import Records
from miwake.indexer.search import building
from miwake.indexer.search.building import SearchSettings, build_search, check_buildable, run_child
from miwake.indexer.search.card import SEARCH_FILE, read_card
from miwake.indexer.search.child import Task
from miwake.indexer.search.loading import INDEX_FILE, load_index
from miwake.indexer.search.proposing import propose
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from support.blobs import blob_records
from support.embedders import linear_discriminants

KINDS = ("flat", "ivf-flat", "hnsw", "ivf-pq")
EMBEDDINGS_FILE = "embeddings.npy"


@pytest.fixture(scope="module")
def data() -> tuple[Records, Records]:
    return held_out_split(blob_records(400))


@pytest.fixture(scope="module")
def embedder_folder(tmp_path_factory: pytest.TempPathFactory, data: tuple[Records, Records]) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    linear_discriminants(folder, data[0])
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, data: tuple[Records, Records], embedder_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("store")
    build(folder, "line1", data[0], embedder_folder, settings=BuildSettings(index_kind="flat"))
    for kind in KINDS[1:]:
        rebuild(StationFolder(folder / "line1"), settings=BuildSettings(index_kind=kind))  # type: ignore[arg-type]
    return folder


def generation_of(kind: str) -> str:
    return f"g{KINDS.index(kind) + 1:06d}"


def write_embeddings(folder: Path, embeddings: np.ndarray) -> None:
    np.save(folder / EMBEDDINGS_FILE, embeddings.astype(np.float32))


def clusters(n_rows: int, n_dimensions: int = 8) -> np.ndarray:
    random = np.random.default_rng(0)
    rows = np.repeat(random.standard_normal((20, n_dimensions)), -(-n_rows // 20), axis=0)[:n_rows]
    return (rows + 0.2 * random.standard_normal(rows.shape)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_station_answers_alike_with_every_kind(store: Path, data: tuple[Records, Records], kind: str) -> None:
    vectors = data[1].vectors
    exact = open_index(store / "line1", generation_of("flat")).classify(vectors)
    found = open_index(store / "line1", generation_of(kind)).classify(vectors)
    assert np.array_equal(found.labels, exact.labels)
    assert np.allclose(found.novelty, exact.novelty, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_generation_says_its_kind_and_its_agreement(store: Path, kind: str) -> None:
    search = open_index(store / "line1", generation_of(kind)).contents.search
    assert (search.kind, search.asked, search.bound) == (kind, kind, 0.99)
    assert search.agreement is not None
    assert search.agreement.worst >= 0.99
    assert search.agreement.n_queries >= 200


def test_what_searches_is_listed_in_the_manifest(store: Path) -> None:
    manifest = json.loads((store / "line1" / "generations" / "g000002" / "manifest.json").read_text())
    assert {INDEX_FILE, SEARCH_FILE} <= manifest["files"].keys()


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_of_every_kind_is_a_file_that_faiss_reads(store: Path, kind: str) -> None:
    folder = store / "line1" / "generations" / generation_of(kind)
    index = faiss.read_index(str(folder / INDEX_FILE))
    assert (index.ntotal, index.d) == np.load(folder / EMBEDDINGS_FILE).shape


def test_a_flat_index_holds_the_embeddings(store: Path) -> None:
    folder = store / "line1" / "generations" / generation_of("flat")
    embeddings = np.load(folder / EMBEDDINGS_FILE)
    index = faiss.read_index(str(folder / INDEX_FILE))
    assert np.array_equal(index.reconstruct_n(0, index.ntotal), embeddings)


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_of_another_kind_than_it_says_is_refused(store: Path, tmp_path: Path, kind: str) -> None:
    other = KINDS[KINDS.index(kind) - 1]
    generations = store / "line1" / "generations"
    folder = Path(shutil.copytree(generations / generation_of(kind), tmp_path / "mixed"))
    shutil.copy(generations / generation_of(other) / INDEX_FILE, folder)
    index = open_index(store / "line1", generation_of(kind))
    with ReferenceStore.open(store / "line1") as references:
        schema = references.schema
    with pytest.raises(ArtifactCorruptError, match=f"says {kind}"):
        load(folder, index.contents.embedder, schema, station="", generation="", revision=1)


def test_an_index_of_other_embeddings_is_refused(tmp_path: Path) -> None:
    write_embeddings(tmp_path, clusters(400))
    card = build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(kind="ivf-flat"))
    with pytest.raises(ArtifactCorruptError, match="400 embeddings of 8 dimensions, expected 399 of 8"):
        load_index(tmp_path, card, clusters(400)[:399])


@pytest.mark.parametrize("kept", [0, 3, 100, 5000])
def test_an_index_that_is_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    write_embeddings(tmp_path, clusters(400))
    card = build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(kind="ivf-flat"))
    stored = (tmp_path / INDEX_FILE).read_bytes()
    (tmp_path / INDEX_FILE).write_bytes(stored[:kept])
    with pytest.raises(ArtifactCorruptError, match="FAISS cannot read it"):
        load_index(tmp_path, card, clusters(400))


def test_a_build_that_agrees_too_little_publishes_nothing(tmp_path: Path, store: Path) -> None:
    own = Path(shutil.copytree(store, tmp_path / "store")) / "line1"
    before = StationFolder(own).current()
    # More than all of the nearest cannot be found.
    settings = BuildSettings(index_kind="ivf-pq", min_recall=1.01)
    with pytest.raises(IndexBuildError, match=r"ivf-pq: 1\.0000 of the ten nearest .* bound 1\.01"):
        rebuild(StationFolder(own), settings=settings)
    assert StationFolder(own).current() == before
    assert StationFolder(own).generations() == [generation_of(kind) for kind in KINDS]


def test_a_kind_that_loses_neighbours_is_refused_with_what_was_measured(tmp_path: Path) -> None:
    # Codes that span the others cannot tell apart the five hundred that lie together.
    embeddings = np.random.default_rng(0).standard_normal((2000, 64))
    embeddings[1500:] = embeddings[0] + 1e-4 * embeddings[1500:]
    write_embeddings(tmp_path, embeddings)
    with pytest.raises(IndexBuildError, match=r"ivf-pq: 0\.\d{4} of the ten nearest references found at its best"):
        build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(kind="ivf-pq", n_candidates=10))


def test_a_child_that_dies_is_an_error_that_names_the_kind(tmp_path: Path) -> None:
    embeddings = clusters(2000)
    embeddings[7] = 1e38
    write_embeddings(tmp_path, embeddings)
    task = Task(
        kind="ivf-pq",
        embeddings=str(tmp_path / EMBEDDINGS_FILE),
        index=str(tmp_path / INDEX_FILE),
        n_candidates=100,
        target=0.99,
        seed=0,
    )
    with pytest.raises(IndexBuildError, match=r"ivf-pq: the process that built the index ended with"):
        run_child(task)


def test_a_child_whose_disk_is_gone_is_an_error_that_says_so(tmp_path: Path) -> None:
    task = Task(kind="hnsw", embeddings=str(tmp_path / "none.npy"), index="", n_candidates=9, target=0.9, seed=0)
    with pytest.raises(IndexBuildError, match=r"hnsw: .* ended with status 1.*none\.npy"):
        run_child(task)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -2e4])
def test_embeddings_that_faiss_would_die_of_are_named_beforehand(bad: float) -> None:
    embeddings = clusters(400)
    embeddings[321, 3] = bad
    with pytest.raises(IndexBuildError, match="ivf-flat: the embedding of reference 321 holds"):
        check_buildable("ivf-flat", embeddings)


def test_too_few_references_for_a_kind_are_an_error_that_says_how_many(tmp_path: Path) -> None:
    write_embeddings(tmp_path, clusters(255))
    with pytest.raises(IndexBuildError, match="ivf-pq: 255 references, expected at least 256"):
        build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(kind="ivf-pq"))


def test_auto_compares_all_of_few_references(tmp_path: Path) -> None:
    write_embeddings(tmp_path, clusters(3))
    card = build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings())
    assert (card.kind, card.asked, card.reason) == ("flat", "auto", "3 references, flat up to 30000")


def test_auto_takes_lists_where_there_are_many(tmp_path: Path) -> None:
    write_embeddings(tmp_path, clusters(building.AUTO_FLAT_AT_MOST + 1, 4))
    card = build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings())
    assert (card.kind, card.asked) == ("ivf-flat", "auto")
    assert card == read_card(tmp_path)
    assert card.agreement is not None
    assert card.agreement.worst >= 0.99


def test_auto_searches_exactly_where_lists_cannot_be_built_and_says_so(tmp_path: Path) -> None:
    embeddings = clusters(building.AUTO_FLAT_AT_MOST + 1, 4)
    embeddings[5] = 1e38
    write_embeddings(tmp_path, embeddings)
    told: list[str] = []
    card = build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(min_recall=0.5), report=told.append)
    assert card.kind == "flat"
    assert "the embedding of reference 5 holds 1e+38" in card.reason
    assert told == [f"searching exactly instead: {card.reason.removeprefix('ivf-flat was tried: ')}"]


def test_auto_searches_exactly_where_lists_do_not_pay_and_says_so(tmp_path: Path) -> None:
    # Without clusters, neighbours are spread over most of the lists.
    write_embeddings(tmp_path, np.random.default_rng(0).standard_normal((building.AUTO_FLAT_AT_MOST + 1, 48)))
    told: list[str] = []
    card = build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(), report=told.append)
    assert (card.kind, card.asked) == ("flat", "auto")
    assert told[0].startswith("searching exactly instead: ivf-flat: 0.")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_embeddings_give_the_same_index(tmp_path: Path, kind: str) -> None:
    write_embeddings(tmp_path, clusters(500))
    first, second = (
        (build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(kind=kind)), (tmp_path / INDEX_FILE).read_bytes())  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert first == second


def test_a_loaded_index_proposes_what_the_built_one_did(tmp_path: Path) -> None:
    write_embeddings(tmp_path, clusters(3000))
    card = build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(kind="ivf-flat"))
    embeddings = np.load(tmp_path / EMBEDDINGS_FILE, mmap_mode="r")
    found = propose(load_index(tmp_path, card, embeddings), clusters(3000)[:50], 1)
    assert found[:, 0].tolist() == list(range(50))


HELD = """
import json, sys
from pathlib import Path
import faiss
import numpy as np
from miwake.indexer.search.card import read_card
from miwake.indexer.search.inverted import InvertedLists
from miwake.indexer.search.kinds import build_kind
from miwake.indexer.search.loading import load_index
from miwake.indexer.search.proposing import exact_index, propose

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

faiss.omp_set_num_threads(1)
folder = Path(sys.argv[1])
embeddings = np.load(folder / "embeddings.npy", mmap_mode="r")
queries = np.random.default_rng(0).standard_normal((64, embeddings.shape[1]), dtype=np.float32)
propose(exact_index(queries), queries, 10)
few = build_kind("ivf-flat", queries, seed=0)[0]
InvertedLists.of(few).search(queries, 1, 1)  # numba takes 50 MB, once in a process
queries @ queries.T  # and so do BLAS's buffers theirs
card = read_card(folder)
before = anonymous()
index = load_index(folder, card, embeddings)
propose(index, queries, 100)
print((anonymous() - before) / len(embeddings))
"""


@pytest.mark.parametrize("kind", ["flat", "ivf-flat"])
def test_an_open_index_holds_no_copy_of_the_embeddings(tmp_path: Path, kind: str) -> None:
    write_embeddings(tmp_path, clusters(40_000, 128))
    build_search(tmp_path, EMBEDDINGS_FILE, SearchSettings(kind=kind, min_recall=0.5))  # type: ignore[arg-type]
    command = [sys.executable, "-c", HELD, str(tmp_path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own
    # Bytes a reference, of memory that is no mapped file: the embedding has 512, its half precision 256.
    assert float(told) < 60
