"""An export taken back is the station again; whoever reads data reads an export; what was damaged is not taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from miwake.indexer.cli import app
from miwake.indexer.embedder import Embedder
from miwake.indexer.exchange.exporting import export
from miwake.indexer.exchange.layout import Header, checksum_of
from miwake.indexer.opening import open_live
from miwake.indexer.sources.reader import read_records
from miwake.indexer.storage.store import ReferenceStore
from miwake.training.cli import app as training_app
from support.archived import unpack
from support.references import SCHEMA, make_records, vectors_of

STATION = "changed"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def done(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that no test changes."""
    return unpack(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """An export that no test changes."""
    path = tmp_path_factory.mktemp("exported") / "out.parquet"
    done("export", path, "--store", store, "--station", STATION)
    return path


@pytest.fixture
def files(tmp_path: Path, exported: Path) -> Path:
    """A copy of the export and its history, to be changed."""
    shutil.copy(exported.with_name("out.history.parquet"), tmp_path)
    return Path(shutil.copy(exported, tmp_path))


def everything(folder: Path) -> list[Any]:
    """Return all that a store knows: the references of every revision, and what happened to each id."""
    with ReferenceStore.open(folder) as references:
        revisions = [references.at(one) for one in range(references.revision + 1)]
        snapshots = [references.snapshot(one) for one in range(references.revision + 1)]
        ids = sorted({one for snapshot in snapshots for one in snapshot.ids})
        history = [references.history(one) for one in ids]
        references.check()
        return [references.schema, revisions, [_plain(one) for one in snapshots], ids, history]


def _plain(snapshot: Any) -> dict[str, Any]:
    return asdict(snapshot) | {"vectors": snapshot.vectors.tobytes(), "labels": snapshot.labels.tolist()}


def test_an_import_is_the_station_again(store: Path, exported: Path, tmp_path: Path) -> None:
    told = done("import", exported, "--store", tmp_path / "new")

    assert told == {
        "station": STATION,
        "is_new": True,
        "revision": 6,
        "n_references": 211,
        "n_added": 211,
        "n_unchanged": 0,
        "n_history": 4,
        "generation": "",
    }
    assert everything(tmp_path / "new" / STATION) == everything(store / STATION)


def test_the_export_of_an_import_is_the_export(exported: Path, store: Path, tmp_path: Path) -> None:
    embedder = next((store / STATION / "embedders").iterdir())
    done("import", exported, "--store", tmp_path / "new", "--embedder", embedder)

    done("export", tmp_path / "again.parquet", "--store", tmp_path / "new")

    assert (tmp_path / "again.parquet").read_bytes() == exported.read_bytes()
    assert (tmp_path / "again.history.parquet").read_bytes() == exported.with_name("out.history.parquet").read_bytes()


def test_an_import_with_an_embedder_publishes(exported: Path, store: Path, tmp_path: Path) -> None:
    embedder = next((store / STATION / "embedders").iterdir())

    told = done("import", exported, "--store", tmp_path, "--station", "line2", "--embedder", embedder)

    index = open_live(tmp_path / "line2")
    assert (told["generation"], index.generation, index.n_references, index.revision) == ("g000001", "g000001", 211, 6)


def test_the_embeddings_are_those_of_the_embedder(exported: Path, store: Path) -> None:
    embedder = Embedder.open(next((store / STATION / "embedders").iterdir()))
    table = pq.read_table(exported)

    written = np.stack(table.column("embedding").to_numpy())

    np.testing.assert_allclose(written, embedder.embed(read_records(exported).vectors), rtol=0, atol=1e-6)


def test_an_export_of_an_earlier_revision_knows_nothing_of_later_ones(store: Path, tmp_path: Path) -> None:
    told = done("export", tmp_path / "two.parquet", "--store", store, "--station", STATION, "--revision", "2")
    imported = done("import", tmp_path / "two.parquet", "--store", tmp_path / "new")

    assert (told["n_references"], told["n_history"], told["history_file"]) == (204, 0, "")
    assert (imported["revision"], imported["n_references"]) == (2, 204)


def test_where_keeps_what_it_says(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    told = done(
        "export", path, "--store", store, "--station", STATION, "--where", "label=33,92", "--where", "group=lot 1"
    )
    imported = done("import", path, "--store", tmp_path / "new")

    records = read_records(path)
    assert (set(records.labels.tolist()), set(records.groups)) == ({33, 92}, {"lot 1"})
    assert (told["history_file"], told["n_references"]) == ("", len(records))
    assert (imported["revision"], imported["n_references"]) == (1, len(records))


def test_an_export_replaces_nothing_unless_told_to(exported: Path, store: Path, tmp_path: Path) -> None:
    (tmp_path / "out.parquet").write_text("precious")

    refused = run("export", tmp_path / "out.parquet", "--store", store, "--station", STATION)
    kept = (tmp_path / "out.parquet").read_text()
    forced = run("export", tmp_path / "out.parquet", "--store", store, "--station", STATION, "--force")

    assert (refused.exit_code, refused.stderr) == (
        1,
        f"miwake-index: {tmp_path / 'out.parquet'}: exists already; --force replaces it\n",
    )
    assert (kept, forced.exit_code) == ("precious", 0)
    assert (tmp_path / "out.parquet").read_bytes() == exported.read_bytes()


def test_an_export_leaves_no_part_of_a_file(store: Path, tmp_path: Path) -> None:
    database = Path(shutil.copytree(store, tmp_path / "store")) / STATION / "references.db"
    with ReferenceStore.open(database.parent) as references:
        last = references.snapshot().vectors[-1].tobytes()
    database.write_bytes(database.read_bytes().replace(last, last[::-1]))
    (tmp_path / "out").mkdir()

    refused = run("export", tmp_path / "out" / "a.parquet", "--store", tmp_path / "store", "--station", STATION)

    assert refused.exit_code == 1
    assert "damaged" in refused.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_import_adds_what_a_station_lacks(exported: Path, store: Path, tmp_path: Path) -> None:
    early = tmp_path / "early.parquet"
    done("export", early, "--store", store, "--station", STATION, "--where", "source=first", "--where", "label!=33")
    first = done("import", early, "--store", tmp_path / "new")

    second = done("import", exported, "--store", tmp_path / "new")
    third = done("import", exported, "--store", tmp_path / "new")

    assert (second["is_new"], second["revision"], second["n_references"]) == (False, 2, 211)
    assert (second["n_added"], second["n_unchanged"]) == (211 - first["n_references"], first["n_references"])
    assert (third["revision"], third["n_added"], third["n_unchanged"]) == (2, 0, 211)
    with ReferenceStore.open(tmp_path / "new" / STATION) as references:
        assert set(references.snapshot().sources) == {"first", "second", "third"}


def test_an_import_that_contradicts_a_station_changes_nothing(exported: Path, store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    run(
        "relabel",
        "third-3",
        "--label",
        "62",
        "--failure-mode",
        "dent",
        "--store",
        tmp_path / "store",
        "--station",
        STATION,
    )
    run("remove", "first-9", "--store", tmp_path / "store", "--station", STATION)

    refused = run("import", exported, "--store", tmp_path / "store")

    assert refused.exit_code == 1
    assert "id 'third-3' has label 21 ('Grat, außen')" in refused.stderr.replace("\n", " ")
    with ReferenceStore.open(tmp_path / "store" / STATION) as references:
        assert (references.revision, references.n_references) == (8, 210)


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def replace_column(name: str, values: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def change(table: Any) -> Any:
        place = table.column_names.index(name)
        changed = values(table.column(name).to_pylist())
        column = changed if isinstance(changed, pa.Array) else pa.array(changed, table.schema.field(name).type)
        return table.set_column(place, pa.field(name, column.type), column)

    return change


def header(**changes: Any) -> Callable[[Any], Any]:
    """Return what changes an export's header, and seals it as if it had been written so."""

    def change(table: Any) -> Any:
        told = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        changed = json.loads(told["miwake_export"]) | changes
        known = {name: value for name, value in changed.items() if name != "checksum"}
        changed["checksum"] = checksum_of(Header(**known), told)
        return table.replace_schema_metadata(told | {"miwake_export": json.dumps(changed)})

    return change


def metadata(name: str, text: str) -> Callable[[Any], Any]:
    """Return what changes what an export says beside its header, and seals it."""
    return lambda table: header()(table.replace_schema_metadata({**table.schema.metadata, name.encode(): text}))


def unsealed(name: str, text: str) -> Callable[[Any], Any]:
    return lambda table: table.replace_schema_metadata({**table.schema.metadata, name.encode(): text})


def twice(values: list[Any]) -> list[Any]:
    return [values[1], *values[1:]]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a readable export"),
        (lambda path: path.write_bytes(path.read_bytes()[:9000] + b"\xff" * 64 + path.read_bytes()[9064:]), "readable"),
        (lambda path: path.write_bytes(b""), "not a readable export"),
        (lambda path: path.unlink(), "not a readable export"),
        (lambda path: path.with_name("out.history.parquet").unlink(), "missing, the history of"),
        (lambda path: shutil.copy(path, path.with_name("out.history.parquet")), "not the history of"),
        (
            lambda path: shutil.copy(path.with_name("out.history.parquet"), path),
            "the history of an export, expected its ref",
        ),
        (lambda path: rewrite(path, header(format_version=3)), "format version 3, this release reads 1 and 2"),
        (lambda path: rewrite(path, header(revision=5)), "211 references at revision 6, expected 211 at 5"),
        (lambda path: rewrite(path, header(flatness="much")), "flatness"),
        (lambda path: rewrite(path, unsealed("pass_labels", "[0, 21]")), "what it says about itself was changed"),
        (lambda path: rewrite(path, header(flatness=-1.0)), "flatness -1"),
        (lambda path: rewrite(path, header(station="../x")), "station name '../x'"),
        (lambda path: rewrite(path, metadata("heat_map_shape", "[-6, -7]")), "heat_map_shape (-6, -7)"),
        (lambda path: rewrite(path, metadata("heat_map_shape", "[1, 100000000000]")), "columns, expected 100000000000"),
        (lambda path: rewrite(path, metadata("value_range", "[255, 0]")), "value range 255"),
        (lambda path: rewrite(path, metadata("pass_labels", "[9999999999]")), "label 9999999999"),
        (lambda path: rewrite(path, lambda table: table.replace_schema_metadata(None)), "no export of a station"),
        (lambda path: rewrite(path, lambda table: table.slice(0, 210)), "at revision 5, expected 211 at 6"),
        (lambda path: rewrite(path, lambda table: table.drop_columns(["source"])), "column source"),
        (lambda path: rewrite(path, lambda table: table.drop_columns(["data7"])), "column data7"),
        (lambda path: rewrite(path, replace_column("id", twice)), "is there twice"),
        (lambda path: rewrite(path, replace_column("id", lambda ids: ["", *ids[1:]])), "row 0 has no id"),
        (lambda path: rewrite(path, replace_column("id", lambda ids: [None, *ids[1:]])), "has nothing in a row"),
        (lambda path: rewrite(path, replace_column("id", lambda ids: ["a\0b", *ids[1:]])), "cannot be stored"),
        (lambda path: rewrite(path, replace_column("label", lambda one: pa.array(map(str, one)))), "expected int32"),
        (lambda path: rewrite(path, replace_column("data0", lambda one: [float("nan"), *one[1:]])), "row 0"),
        (lambda path: rewrite(path, replace_column("data0", lambda one: [9e9, *one[1:]])), "row 0"),
        (lambda path: rewrite(path, replace_column("sequence", lambda one: [0, *one[1:]])), "sequence 0"),
        (
            lambda path: rewrite(path, replace_column("since_revision", lambda one: [9, *one[1:]])),
            "in two ways|missing",
        ),
        (lambda path: rewrite(path, replace_column("added_by", lambda one: ["nobody", *one[1:]])), "in two ways"),
        (lambda path: rewrite(path, replace_column("added_as", lambda one: ["made"] * len(one))), "in two ways|verb"),
    ],
)
def test_a_damaged_export_is_refused_in_one_line_and_leaves_no_station(
    files: Path, tmp_path: Path, damage: Callable[[Path], object], told: str
) -> None:
    damage(files)

    refused = run("import", files, "--store", tmp_path / "new")

    assert (refused.exit_code, refused.stdout) == (1, "")
    last = [line for line in refused.stderr.splitlines() if line.startswith("miwake-index: ")]
    assert len(last) == 1
    assert any(one in last[0] for one in told.split("|")), last[0]
    assert not (tmp_path / "new").exists() or list((tmp_path / "new").iterdir()) == []


def test_an_embedder_that_does_not_fit_leaves_no_station(files: Path, tmp_path: Path, store: Path) -> None:
    embedder = next((store / STATION / "embedders").iterdir())
    rewrite(files, metadata("heat_map_shape", "[7, 6]"))

    refused = run("import", files, "--store", tmp_path / "new", "--embedder", embedder)

    assert "heat maps (7, 6), the embedder takes (6, 7)" in refused.stderr
    assert not (tmp_path / "new").exists()


def test_a_station_that_cannot_be_built_is_not_there(store: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.parquet"
    done("export", few, "--store", store, "--station", STATION, "--where", "label=33", "--where", "group=lot 1")
    embedder = next((store / STATION / "embedders").iterdir())

    refused = run("import", few, "--store", tmp_path / "new", "--embedder", embedder)

    assert refused.exit_code == 1
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_killed_import_has_left_is_in_nobodys_way(exported: Path, tmp_path: Path) -> None:
    left = tmp_path / "new" / f"{STATION}.part"
    left.mkdir(parents=True)
    (left / "references.db").write_bytes(b"half of it")

    listed = done("list", "--store", tmp_path / "new")
    told = done("import", exported, "--store", tmp_path / "new")

    assert listed == {"stations": []}
    assert (told["n_references"], [one.name for one in (tmp_path / "new").iterdir()]) == (211, [STATION])


@pytest.fixture
def with_templates(tmp_path: Path) -> Path:
    """An export, with its history, of a reference that was relabelled and one that was not; both have a template."""
    records = replace(make_records(["a", "b"]), templates=vectors_of([7, 8]))
    with ReferenceStore.create(tmp_path / "golden" / STATION, schema=SCHEMA) as references:
        references.add(records, actor="test")
        references.relabel(["a"], 1, "burr", actor="test")
    export(tmp_path / "golden" / STATION, tmp_path / "golden.parquet", with_embeddings=False)
    return tmp_path / "golden.parquet"


def other_template(place: int, values: list[float]) -> Callable[[Any], Any]:
    def change(found: list[Any]) -> Any:
        return pa.array([*found[:place], values, *found[place + 1 :]], pa.list_(pa.float32(), 4))

    return replace_column("template", change)


def test_templates_and_their_history_are_the_station_again(with_templates: Path, tmp_path: Path) -> None:
    done("import", with_templates, "--store", tmp_path / "new")

    with ReferenceStore.open(tmp_path / "new" / STATION) as references:
        np.testing.assert_array_equal(references.templates(("a", "b")), vectors_of([7, 8]))
        references.check()


def test_a_template_off_the_scale_is_refused_with_its_row(with_templates: Path, tmp_path: Path) -> None:
    rewrite(with_templates, other_template(1, [9e9, 0, 0, 1]))

    refused = run("import", with_templates, "--store", tmp_path / "new")

    assert "row 1: its template: " in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "new").exists() or list((tmp_path / "new").iterdir()) == []


def test_versions_of_one_reference_with_different_templates_are_no_history(
    with_templates: Path, tmp_path: Path
) -> None:
    rewrite(with_templates, other_template(0, [0, 0, 0, 1]))

    refused = run("import", with_templates, "--store", tmp_path / "new")

    assert "the versions of reference 'a' have different templates" in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "new").exists() or list((tmp_path / "new").iterdir()) == []


def test_other_data_are_no_export(tmp_path: Path) -> None:
    pq.write_table(pa.table({"data0": [1.0], "data1": [2.0], "label": [0]}), tmp_path / "data.parquet")

    refused = run("import", tmp_path / "data.parquet", "--store", tmp_path / "new")

    assert refused.stderr == (
        f"miwake-index: {tmp_path / 'data.parquet'}: no export of a station; "
        "`miwake-index add` and `build` read other data\n"
    )


def test_the_reader_of_data_reads_an_export(exported: Path, store: Path) -> None:
    records = read_records(exported)

    with ReferenceStore.open(store / STATION) as references:
        snapshot, schema = references.snapshot(), references.schema
    assert (records.ids, records.parts, records.failure_modes) == (snapshot.ids, snapshot.parts, snapshot.failure_modes)
    assert (records.groups, records.splits, records.times) == (snapshot.groups, snapshot.splits, snapshot.times)
    assert records.vectors.tobytes() == snapshot.vectors.tobytes()
    assert records.labels.tolist() == snapshot.labels.tolist()
    assert (records.heat_map_shape, records.pass_labels, records.value_range) == (
        schema.heat_map_shape,
        schema.pass_labels,
        schema.value_range,
    )


def test_a_history_is_no_data_set(exported: Path) -> None:
    refused = run("add", exported.with_name("out.history.parquet"), "--store", exported.parent)

    assert "no vector, expected columns data0, data1" in refused.stderr


def test_a_station_is_built_from_an_export(exported: Path, store: Path, tmp_path: Path) -> None:
    embedder = next((store / STATION / "embedders").iterdir())

    built = done("build", exported, "--store", tmp_path, "--station", "s", "--embedder", embedder, "--rows", "all")

    assert built["n_references"] == 211


def test_an_embedder_is_fitted_to_an_export(exported: Path, tmp_path: Path) -> None:
    arguments = ("fit", exported, "--out", tmp_path / "embedder", "--preset", "smnrt17", "--steps", "2")

    result = CliRunner().invoke(training_app, [str(one) for one in arguments])

    assert result.exit_code == 0, result.output
    assert Embedder.open(tmp_path / "embedder").card.labels == (0, 21, 33, 62, 92)


def test_pandas_and_datasets_read_an_export(exported: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(exported)
    table = datasets.load_dataset("parquet", data_files=str(exported), split="train", cache_dir=str(tmp_path))

    assert frame["id"].tolist() == table["id"][:] == list(read_records(exported).ids)
    assert frame["data41"].tolist() == table["data41"][:]
    assert len(table[0]["embedding"]) == len(frame["embedding"][0]) == 4
