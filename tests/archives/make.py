"""Make an archive of the formats of the code on the path: small stations, and what that code answers with them.

``python tests/archives/make.py NAME`` writes ``NAME.tar.xz`` and ``NAME.json`` beside this file. Run it with the code
whose formats are to be kept, before they change (CONTRIBUTING.md says when); test_archives.py then opens it for ever.
The archive is not made anew afterwards: it stands for stores that exist.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.answers import Decision
from miwake.indexer.build import build, rebuild
from miwake.indexer.opening import open_live, roll_back
from miwake.indexer.records import Records
from miwake.indexer.storage.station import StationFolder, list_stations
from miwake.indexer.storage.store import ReferenceStore
from support.embedders import linear_discriminants

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (6, 7)
SPOTS = {0: None, 21: (1, 1), 33: (1, 5), 62: (4, 1), 92: (4, 5)}
FAILURE_MODES = {0: "良品", 21: "Grat, außen", 33: "scratch", 62: "", 92: 'a "stain"'}
PICTURES_A_PART = 2
FAINTEST = 15
"""How bright the faintest spot is: some are lost in the noise, so that every decision occurs."""

GOLDEN = "golden"
"""The station whose references bring templates."""

GOLDEN_PARTS, GOLDEN_LABELS = 200, (0, 21, 0, 33, 0, 62, 0, 92)
"""Enough rejects and passes among them to weigh templates."""

N_QUERIES = 12
N_NEIGHBOURS = 7
ACTOR = "engineer"


def made_records(
    n_parts: int,
    *,
    seed: int,
    name: str,
    faintest: int = FAINTEST,
    labels: tuple[int, ...] = tuple(SPOTS),
    with_templates: bool = False,
) -> Records:
    """Return records of 6 x 7 whole numbers with a bright spot for each class; every column holds something.

    With templates each part has a pattern of its own, which its template shows without the spot.
    """
    rng = np.random.default_rng(seed)
    part_labels = np.array([labels[part % len(labels)] for part in range(n_parts)], dtype=np.int32)
    all_labels = np.repeat(part_labels, PICTURES_A_PART)
    maps = rng.normal(90, 20, (len(all_labels), *SHAPE))
    templates = None
    if with_templates:
        patterns = np.random.default_rng((seed, 1)).uniform(0, 130, (n_parts, *SHAPE)).round()
        templates = np.repeat(patterns, PICTURES_A_PART, axis=0)
        maps = templates + (maps - 90) / 4
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for number, label in enumerate(all_labels.tolist()):
        spot = SPOTS[label]
        if spot is not None:
            row, column = np.array(spot) + rng.normal(0, 0.4, 2)
            maps[number] += rng.uniform(faintest, 120) * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 2)
    n = len(all_labels)
    return Records(
        vectors=np.clip(maps, 0, 255).round().reshape(n, -1).astype(np.float32),
        labels=all_labels,
        failure_modes=tuple(FAILURE_MODES[label] for label in all_labels.tolist()),
        ids=tuple(f"{name}-{number}" for number in range(n)),
        parts=tuple(f"{name} 部品 {number // PICTURES_A_PART}" for number in range(n)),
        groups=tuple(f"lot {number // 20}" for number in range(n)),
        splits=("train",) * n,
        times=tuple(f"2026-01-{number % 28 + 1:02d}T12:00:00Z" if number % 3 else "" for number in range(n)),
        source=name,
        heat_map_shape=SHAPE,
        pass_labels=(0,),
        value_range=(0.0, 255.0),
        templates=None if templates is None else templates.reshape(n, -1).astype(np.float32),
    )


def make_store(folder: Path) -> Path:
    """Make a store: ``changed`` has changes since its last build, ``rolled-back`` serves its first generation.

    The embedder of the second tells three of the classes apart as little as it can, so that raw maps re-rank best.
    The references of the third bring templates, which are weighed.
    """
    store = folder / "store"
    for name, seed, faintest, last in (("changed", 1, FAINTEST, 92), ("rolled-back", 2, 60, 33), (GOLDEN, 3, 80, 92)):
        golden = name == GOLDEN
        first = made_records(
            GOLDEN_PARTS if golden else 90,
            seed=seed,
            name="first",
            faintest=faintest,
            labels=GOLDEN_LABELS if golden else tuple(SPOTS),
            with_templates=golden,
        )
        linear_discriminants(folder / name, replace(first, labels=np.minimum(first.labels, last)))
        build(store, name, first, folder / name)
        station = StationFolder(store / name)
        rebuild(station, records=made_records(12, seed=seed + 10, name="second", with_templates=golden))
        with ReferenceStore.open(station.path) as references:
            references.add(made_records(4, seed=seed + 20, name="third", labels=(92, 21)), actor=ACTOR)
            references.relabel(["first-0", "second-1"], 33, "kratzer", actor=ACTOR)
            references.remove(["first-2", "third-1"], actor=ACTOR)
            references.add(made_records(4, seed=seed + 20, name="third", labels=(92, 21)), actor=ACTOR)
    roll_back(store / "rolled-back")
    return store


def expected(station: Path) -> dict[str, Any]:
    """Return what the station is and answers, as plain values."""
    index = open_live(station)
    golden = station.name == GOLDEN
    queries = made_records(N_QUERIES // PICTURES_A_PART, seed=99, name="query", with_templates=golden)
    vectors, templates = queries.vectors, queries.templates
    vectors[-1] = 255 - vectors[-1] // 3 * 3
    verdicts = index.classify(vectors, templates=templates, n_neighbours=N_NEIGHBOURS)
    with ReferenceStore.open(station) as references:
        revisions = {revision: references.snapshot(revision) for revision in range(references.revision + 1)}
        history = {one: references.history(one) for one in ("first-0", "first-2", "third-1")}
    return {
        "generation": index.generation,
        "revision": index.revision,
        "n_references": index.n_references,
        "embedder_id": index.embedder_id,
        "space": index.calibration.rerank.space,
        "queries": whole(vectors),
        **({} if templates is None else {"templates": whole(templates)}),
        "labels": whole(verdicts.labels),
        "failure_modes": list(verdicts.failure_modes),
        "decisions": [Decision(one).name for one in verdicts.decisions.tolist()],
        "method_labels": whole(verdicts.method_labels),
        "anchor_labels": whole(verdicts.anchor_labels),
        "neighbour_ids": [list(ids) for ids in verdicts.neighbours.ids],
        "numbers": {
            "probabilities": rounded(verdicts.probabilities),
            "novelty": rounded(verdicts.novelty),
            "anchor_distances": rounded(verdicts.anchor_distances),
            "distances": rounded(verdicts.neighbours.distances),
            "beta": rounded(verdicts.neighbours.beta),
            "eta": rounded(verdicts.neighbours.eta),
            "gamma": rounded(verdicts.neighbours.gamma),
            "match_distances": rounded(verdicts.neighbours.match_distances),
        },
        "references_of_revisions": {str(revision): len(one) for revision, one in revisions.items()},
        "row_hashes": list(revisions[max(revisions)].row_hashes),
        "history": {one: [without_time(asdict(entry)) for entry in entries] for one, entries in history.items()},
    }


def whole(values: NDArray[Any]) -> list[Any]:
    """Return an array of whole numbers as nested lists."""
    return list(values.astype(int).tolist())


def rounded(values: NDArray[np.float32]) -> list[Any]:
    """Return an array as nested lists, short enough to read."""
    return list(np.round(values.astype(np.float64), 6).tolist())


def without_time(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a history entry without the moment it was made."""
    return {name: value for name, value in entry.items() if name != "at"}


def pack(store: Path, target: Path) -> None:
    """Write the stations into a .tar.xz that depends on their files alone; locks and leftovers stay out."""
    with tarfile.open(target, "w:xz", preset=9) as archive:
        for path in sorted(one for one in store.rglob("*") if one.is_file() and one.name != "LOCK"):
            member = archive.gettarinfo(path, str(path.relative_to(store.parent)))
            member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode = 0, 0, 0, "", "", 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)


def main(name: str) -> None:
    """Make the archive and the answers."""
    os.environ["LOGNAME"] = ACTOR
    beside = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder))
        pack(store, beside / f"{name}.tar.xz")
        answers = {station: expected(store / station) for station in list_stations(store)}
    text = json.dumps(answers, ensure_ascii=False, indent=None, sort_keys=True)
    (beside / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
