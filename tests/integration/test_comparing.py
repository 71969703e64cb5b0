"""What a switch would change is told before it is made, honestly, and on a page that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from archives.make import made_records
from miwake.indexer.answers import Decision
from miwake.indexer.build import rebuild
from miwake.indexer.building.build_settings import BuildSettings
from miwake.indexer.cli import app
from miwake.indexer.comparing.calibration_rows import unfitted_rows
from miwake.indexer.comparing.comparison import compare
from miwake.indexer.comparing.report import page, write_page
from miwake.indexer.comparing.sides import SERVED, Side
from miwake.indexer.errors import DataError
from miwake.indexer.opening import open_index, open_live, roll_back
from miwake.indexer.records import Records
from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import StoredSet, write_set
from support.archived import unpack
from support.browser import Page, in_browser, needs_chromium

STATION = "changed"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that no test changes; its second generation has 24 references more."""
    return unpack(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def held_out() -> Records:
    """Return records of parts that nobody has seen."""
    return made_records(40, seed=77, name="held out")


@pytest.fixture(scope="module")
def sides(store: Path) -> tuple[Side, Side]:
    return Side.open(store / STATION, "g000001"), Side.open(store / STATION, "g000002")


def test_a_generation_compared_with_itself_flips_nothing(sides: tuple[Side, Side], held_out: Records) -> None:
    comparison = compare(sides[0], sides[0], held_out)

    assert comparison.flips == ()
    assert {one.change.value for one in comparison.figures} == {0.0}
    assert sum(comparison.decisions.values()) == comparison.n_rows == len(held_out)


def test_a_comparison_says_what_both_sides_answer(store: Path, sides: tuple[Side, Side], held_out: Records) -> None:
    before = open_index(store / STATION, "g000001").classify(held_out.vectors, n_neighbours=1)
    after = open_index(store / STATION, "g000002").classify(held_out.vectors, n_neighbours=1)

    comparison = compare(*sides, held_out)

    differ = (before.labels != after.labels) | (before.decisions != after.decisions)
    told = {flip.row: flip for flip in comparison.flips if flip.kind != "failure mode"}
    assert sorted(told) == np.flatnonzero(differ).tolist() != []
    assert all(told[row].first.label == before.labels[row] for row in told)
    assert all(told[row].second.label == after.labels[row] for row in told)
    assert all(told[row].second.reference_id == after.neighbours.ids[row][0] for row in told)


def test_escape_and_overkill_are_counted_from_the_labels(sides: tuple[Side, Side], held_out: Records) -> None:
    comparison = compare(*sides, held_out)

    after = sides[1].index.classify(held_out.vectors, n_neighbours=1)
    rejects = held_out.labels != 0
    figures = {one.name: one for one in comparison.figures}
    assert figures["escape"].second.n_counted == int((after.labels[rejects] == 0).sum())
    assert figures["overkill"].second.n_counted == int((after.labels[~rejects] != 0).sum())
    assert figures["rejects decided PASS"].second.n_counted == int((after.decisions[rejects] == 1).sum())
    change = figures["escape"].change
    assert change.value == pytest.approx(figures["escape"].second.value - figures["escape"].first.value)
    assert change.low <= change.value <= change.high


def test_rejects_that_pass_from_now_on_come_first(sides: tuple[Side, Side], held_out: Records) -> None:
    effects = [flip.effect in {"new escape", "reject passed"} for flip in compare(*sides, held_out).flips]

    assert effects == sorted(effects, reverse=True)
    assert any(effects)


def test_references_of_the_same_part_do_not_answer_for_it(store: Path, held_out: Records) -> None:
    index = open_index(store / STATION, "g000001")
    position = 5
    own = index.contents.references
    (part,), (reference_id,) = own.texts("part", np.array([position])), own.ids(np.array([position]))
    twin = replace(held_out.take(np.array([0])), vectors=index.reference_vector(position)[None], parts=(part,))
    side = Side.open(store / STATION, "g000001")

    without = side.without(part).classify(twin.vectors, n_neighbours=50).neighbours

    assert index.classify(twin.vectors, n_neighbours=1).neighbours.ids == ((reference_id,),)
    assert side.without(part).n_references == index.n_references - 2
    assert reference_id not in without.ids[0]


def test_an_added_part_does_not_answer_for_itself_either(store: Path) -> None:
    side = Side.open(store / STATION, SERVED)
    with ReferenceStore.open(store / STATION) as references:
        snapshot = references.snapshot()
    row = snapshot.ids.index("third-2")

    found = side.without(snapshot.parts[row]).classify(snapshot.vectors[row : row + 1], n_neighbours=50)

    assert open_live(store / STATION).search(snapshot.vectors[row : row + 1], n_neighbours=1).ids == (("third-2",),)
    assert "third-2" not in found.neighbours.ids[0]


def test_parts_that_an_embedder_was_fitted_on_are_left_out(sides: tuple[Side, Side]) -> None:
    first = made_records(90, seed=1, name="first")

    comparison = compare(*sides, first)

    fitted = set(sides[0].index.contents.embedder.card.fit_row_hashes)
    n_fitted = sum(one in fitted for one in first.row_hashes())
    assert (comparison.n_fitted, comparison.n_rows) == (n_fitted, 180 - n_fitted)
    assert 0 < n_fitted < 180


def test_nameless_references_are_not_asked_about_themselves(sides: tuple[Side, Side], held_out: Records) -> None:
    known = made_records(12, seed=11, name="second")
    mixed = replace(
        held_out, vectors=np.concatenate([known.vectors, held_out.vectors[24:]]), parts=("",) * len(held_out)
    )

    assert (compare(*sides, mixed).n_known, compare(*sides, mixed).n_rows) == (24, 56)


def test_where_nothing_can_be_asked_about_it_is_said_why(sides: tuple[Side, Side]) -> None:
    known = replace(made_records(12, seed=11, name="second"), parts=("",) * 24)

    with pytest.raises(DataError, match=r"none of 24 rows can be asked about: .* 24 that are references and name no"):
        compare(*sides, known)


def test_rows_of_the_store_are_those_that_no_embedder_was_fitted_on(store: Path, sides: tuple[Side, Side]) -> None:
    rows = unfitted_rows(store / STATION, sides)

    fitted = set(sides[0].index.contents.embedder.card.fit_row_hashes)
    assert len(rows) == 62
    assert not fitted & set(rows.row_hashes())


def test_of_many_rows_whole_parts_are_drawn(store: Path, sides: tuple[Side, Side]) -> None:
    everything = unfitted_rows(store / STATION, sides)

    rows = unfitted_rows(store / STATION, sides, most=30)

    assert 0 < len(rows) <= 30
    assert {*rows.ids} == {
        one for one, part in zip(everything.ids, everything.parts, strict=True) if part in set(rows.parts)
    }


def hostile(records: Records) -> Records:
    return replace(
        records,
        ids=tuple(f'<script>alert("{row}")</script>' for row in range(len(records))),
        parts=tuple(f"<img src=http://x/{row}> & 'part'" for row in range(len(records))),
        failure_modes=("</table><b>\u202eodd\ud800",) * len(records),
    )


def test_a_page_needs_nothing_else_and_shows_texts_as_they_are(
    sides: tuple[Side, Side], held_out: Records, tmp_path: Path
) -> None:
    records = hostile(held_out)
    comparison = compare(*sides, records)

    path = write_page(tmp_path / "new" / "folder", comparison, sides, records)

    shown = Page(path.read_text(encoding="utf-8"))
    assert path == tmp_path / "new" / "folder" / "diff.html"
    assert shown.open == []
    assert {tag for tag, _ in shown.tags} & {"script", "link", "iframe", "object", "b\u202eodd"} == set()
    sources = [attributes["src"] or "" for tag, attributes in shown.tags if tag == "img"]
    assert len(sources) == 4 * len(comparison.flips)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert f'<script>alert("{comparison.flips[0].row}")</script>' in shown.shown
    assert any("default-src 'none'" in (attributes.get("content") or "") for _, attributes in shown.tags)


def test_a_page_shows_the_part_and_what_came_nearest(sides: tuple[Side, Side], held_out: Records) -> None:
    comparison = compare(*sides, held_out)
    flip = comparison.flips[0]
    part = held_out.vectors[flip.row]
    flat = np.zeros(42, dtype=np.float32)

    text = page(comparison, lambda one: (held_out.vectors[one.row], flat, flat), (6, 7), n_pictures=1)

    pictures = [base64.b64decode(one) for one in re.findall(r'base64,([^"]+)"', text)]
    first = np.asarray(Image.open(io.BytesIO(pictures[0])).convert("RGB")).astype(int)
    assert first.shape == (6, 7, 3)
    assert first.sum(axis=2).argmax() == part.argmax()  # viridis is brightest where the value is largest
    assert len(pictures) == 4
    assert "Further verdicts that flip" in text


@needs_chromium
def test_a_browser_shows_the_page_as_it_is_meant(sides: tuple[Side, Side], held_out: Records, tmp_path: Path) -> None:
    records = hostile(held_out)
    comparison = compare(*sides, records)
    path = write_page(tmp_path / "page.html", comparison, sides, records)

    shown = Page(in_browser(path, tmp_path / "profile"))

    sections = [attributes for tag, attributes in shown.tags if tag == "section"]
    assert len(sections) == len(comparison.flips)
    assert [tag for tag, _ in shown.tags if tag in {"script", "b\u202eodd"}] == []
    assert f'<script>alert("{comparison.flips[0].row}")</script>' in shown.shown


def test_diff_tells_and_reports(store: Path, held_out: Records, tmp_path: Path) -> None:
    write_parquet(held_out, tmp_path / "held_out.parquet")
    asked = (
        "diff",
        "g000001",
        "g000002",
        "--store",
        store,
        "--station",
        STATION,
        "--replay",
        tmp_path / "held_out.parquet",
    )

    told = json.loads(run(*asked, "--json").stdout)
    result = run(*asked, "--report", tmp_path / "page.html")

    assert (told["n_rows"], told["first"]["generation"], told["second"]["generation"]) == (80, "g000001", "g000002")
    assert [one["name"] for one in told["figures"][:3]] == ["accuracy", "escape", "overkill"]
    assert f"{len(told['flips'])} of 80 verdicts change" in result.stdout
    assert (tmp_path / "page.html").is_file()


def test_diff_takes_the_test_rows_of_a_replay(store: Path, held_out: Records, tmp_path: Path) -> None:
    splits = tuple("test" if row < 20 else "train" for row in range(len(held_out)))
    write_parquet(replace(held_out, splits=splits), tmp_path / "data.parquet")
    asked = ("diff", "g000001", SERVED, "--store", store, "--station", STATION, "--replay", tmp_path / "data.parquet")

    assert json.loads(run(*asked, "--json").stdout)["n_rows"] == 20
    assert json.loads(run(*asked, "--all-rows", "--json").stdout)["n_rows"] == 80


def test_a_recording_without_labels_is_compared_all_the_same(store: Path, held_out: Records, tmp_path: Path) -> None:
    write_parquet(held_out, tmp_path / "labelled.parquet")
    bare = pq.read_table(tmp_path / "labelled.parquet").drop_columns(["label", "fmode"])
    pq.write_table(bare, tmp_path / "bare.parquet")
    np.savez(tmp_path / "bare.npz", vectors=held_out.vectors, heat_map_shape=np.array([6, 7]))
    asked = ("diff", "g000001", "g000002", "--store", store, "--station", STATION, "--json", "--replay")

    refused = run(*asked, tmp_path / "bare.parquet")
    labelled = json.loads(run(*asked, tmp_path / "labelled.parquet").stdout)
    told = [json.loads(run(*asked, tmp_path / f"bare.{kind}", "--unlabelled").stdout) for kind in ("parquet", "npz")]

    assert "no label column 'label'" in refused.stderr
    assert [one["decisions"] for one in told] == [labelled["decisions"]] * 2
    assert {one["name"] for one in told[0]["figures"]} == {f"decided {one.name}" for one in Decision}
    assert {(flip["true_label"], flip["effect"]) for flip in told[0]["flips"]} == {(None, "")}


def test_diff_without_a_replay_asks_about_unfitted_references(store: Path) -> None:
    told = json.loads(run("diff", "g000001", SERVED, "--store", store, "--station", STATION, "--json").stdout)

    assert (told["n_rows"], told["second"]["revision"]) == (62, 6)
    assert "held-out parts tell more" in told["source"]


def test_threshold_sets_of_one_generation_are_compared(tmp_path: Path, held_out: Records) -> None:
    station = StationFolder(unpack(tmp_path) / STATION)
    own = open_index(station.path, "g000002").calibration.thresholds
    write_set(
        station,
        StoredSet(
            generation="g000002",
            manifest_sha256=station.current().manifest_sha256,
            created_at="2026-01-01T00:00:00Z",
            actor="test",
            before="default",
            request={},
            thresholds=replace(own, name="t000001", pass_at_most=0.0),
            evidence={},
        ).sealed(),
    )
    sides = Side.open(station.path, "g000002"), Side.open(station.path, "g000002:t000001")

    comparison = compare(*sides, held_out)

    assert (comparison.first.threshold_set, comparison.second.threshold_set) == ("default", "t000001")
    assert comparison.flips != ()
    assert {flip.kind for flip in comparison.flips} == {"PASS→REVIEW"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("g000001", "current:t000007"), "t000007"),
        (("g000001", "g000009"), "no generation 'g000009', there are: g000001, g000002"),
        (("g000001", "latest"), "generation 'latest', expected a name such as 'g000001'"),
        (("g000001", "g000002", "--replay", "nothing.parquet"), "nothing.parquet: no such file"),
        (("g000001", "g000002", "--replay", "synthetic"), "vectors of 1404 values, expected 42"),
    ],
)
def test_diff_says_what_is_wrong_in_one_line(store: Path, arguments: tuple[str, ...], told: str) -> None:
    result = run("diff", *arguments, "--store", store, "--station", STATION)

    assert result.exit_code == 1
    assert told in result.stderr.splitlines()[-1]


@pytest.fixture
def own(tmp_path: Path) -> StationFolder:
    """Return a station of one's own."""
    return StationFolder(unpack(tmp_path) / STATION)


def listed(station: StationFolder) -> dict[str, Any]:
    told = json.loads(run("list", "--store", station.path.parent, "--station", STATION, "--json").stdout)
    return {one["generation"]: one["state"] for one in told["stations"][0]["generations"]}


def test_a_staged_generation_is_not_served_until_it_is_activated(own: StationFolder) -> None:
    built = rebuild(own, settings=BuildSettings(stage=True))
    before, served = listed(own), open_live(own.path).generation

    told = run("activate", "g000003", "--store", own.path.parent, "--station", STATION)

    assert before == {"g000001": "kept", "g000002": "current", "g000003": "staged"}
    assert (built.generation, served, open_live(own.path).generation) == ("g000003", "g000002", "g000003")
    assert told.stdout == "changed: g000003 at revision 6\n"
    assert listed(own)["g000003"] == "current"


def test_an_activated_generation_follows_later_changes(own: StationFolder) -> None:
    rebuild(own, settings=BuildSettings(stage=True))
    with ReferenceStore.open(own.path) as references:
        references.remove(["first-8"], actor="test")

    told = run("activate", "g000003", "--store", own.path.parent, "--station", STATION)

    assert told.stdout == "changed: g000003 at revision 7\n"


def test_a_roll_back_goes_to_what_was_served_before(own: StationFolder) -> None:
    rebuild(own, settings=BuildSettings(stage=True))
    rebuild(own)

    assert roll_back(own.path).generation == "g000002"


def test_a_damaged_generation_cannot_be_activated(own: StationFolder) -> None:
    rebuild(own, settings=BuildSettings(stage=True))
    (own.generation_path("g000003") / "index.faiss").write_bytes(b"something else")

    refused = run("activate", "g000003", "--store", own.path.parent, "--station", STATION)

    assert "index.faiss: damaged" in refused.stderr
    assert open_live(own.path).generation == "g000002"


def test_list_shows_what_can_be_read_of_a_damaged_store(own: StationFolder) -> None:
    (own.generation_path("g000001") / "manifest.json").write_text("{")
    (own.path / "CURRENT").write_text("{")

    told = json.loads(run("list", "--store", own.path.parent, "--json").stdout)["stations"]

    assert [one["station"] for one in told] == [STATION, "rolled-back"]
    assert "CURRENT: not JSON" in told[0]["problem"]
    assert "manifest.json: not JSON" in told[0]["generations"][0]["problem"]
    assert (told[0]["n_references"], told[1]["follows"]) == (211, False)
