"""Templates from the data to the verdict: taken where they cut escapes beyond chance, and not where they do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from archives.make import GOLDEN_LABELS, made_records
from miwake.indexer.answers import Decision, ReferenceMap
from miwake.indexer.build import build, rebuild
from miwake.indexer.building.build_settings import BuildSettings
from miwake.indexer.canaries import CANARIES_FILE
from miwake.indexer.cli import app
from miwake.indexer.comparing.calibration_rows import unfitted_rows
from miwake.indexer.comparing.sides import SERVED, Side
from miwake.indexer.embedder import Embedder
from miwake.indexer.exchange.exporting import export
from miwake.indexer.exchange.importing import import_station
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index, open_live
from miwake.indexer.records import Records, is_pass
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.synthetic.generator import generate
from miwake.indexer.telling.tables import residuals_text
from miwake.indexer.verdict.matched import escapes_at
from miwake.indexer.verdict.reference_maps import ReferenceMapChoice
from miwake.indexer.verdict.scores import read_scores
from miwake.training.evaluate import ask
from support.embedders import linear_discriminants

SHAPE = (18, 20)
UNKNOWN_KINDS = (98, 99)


@dataclass(frozen=True)
class World:
    """A store, and its held-out parts; ``right`` and ``wrong`` are stations with right and with shuffled templates.

    ``known`` are the references of the first.
    """

    store: Path
    known: Records
    held_out: Records

    def index(self, station: str, generation: str | None = None) -> InspectionIndex:
        return open_index(self.store / station, generation)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("reference-maps")
    records = generate(n_parts=300, heat_map_shape=SHAPE, with_templates=True)
    is_test = np.array([split == "test" for split in records.splits])
    known = records.take(~is_test)
    assert known.templates is not None
    shuffled = known.templates[np.random.default_rng(0).permutation(len(known))]
    linear_discriminants(folder / "embedder", known)
    for station, told in (("right", known), ("wrong", replace(known, templates=shuffled))):
        build(folder / "store", station, told, folder / "embedder")
    return World(folder / "store", known, records.take(is_test))


def escapes(index: InspectionIndex, records: Records, templates: NDArray[np.float32] | None) -> float:
    """Return the share of the rejects that escape where 5 % of the passes are called rejects."""
    rejects = index.classify(records.vectors, templates=templates, n_neighbours=0).reject_probabilities
    assert rejects is not None
    is_reject = ~is_pass(records.labels, records.pass_labels)
    return float(escapes_at(rejects.astype(np.float64), is_reject, 0.05, np.ones((1, len(records))))[0])


def heaviest_term(index: InspectionIndex) -> str:
    """Return what is weighed most: light varies from picture to picture, so that raw differences say little."""
    residuals = index.calibration.residuals
    assert residuals is not None
    assert residuals.model is not None
    weights = residuals.model.term_weights
    return max(weights, key=weights.__getitem__)


def test_right_templates_are_taken_and_cut_escapes_of_held_out_parts(world: World) -> None:
    index, held_out = world.index("right"), world.held_out

    without, with_templates = (escapes(index, held_out, one) for one in (None, held_out.templates))

    assert index.reference_map == "template"
    assert heaviest_term(index) == "standardised_largest"
    assert with_templates < without - 0.5


def test_right_templates_cut_escapes_of_kinds_never_seen(world: World) -> None:
    index, held_out = world.index("right"), world.held_out
    asked = held_out.take(np.isin(held_out.labels, [0, *UNKNOWN_KINDS]))

    assert escapes(index, asked, asked.templates) < escapes(index, asked, None) - 0.5


def test_labels_and_decisions_follow_the_templates(world: World) -> None:
    index, held_out = world.index("right"), world.held_out
    is_reject = ~is_pass(held_out.labels, held_out.pass_labels)

    without = index.classify(held_out.vectors, n_neighbours=0)
    verdicts = index.classify(held_out.vectors, templates=held_out.templates, n_neighbours=0)

    wrong = [is_pass(one.labels, held_out.pass_labels) == is_reject for one in (without, verdicts)]
    assert wrong[1][is_reject].mean() < wrong[0][is_reject].mean()
    assert wrong[1][~is_reject].mean() < wrong[0][~is_reject].mean()
    passed = verdicts.decisions == Decision.PASS
    assert passed[~is_reject].mean() > 0.3
    assert passed[is_reject].mean() < 0.03


def test_wrong_templates_are_not_taken_and_change_no_verdict(world: World) -> None:
    index, held_out = world.index("wrong"), world.held_out

    without = index.classify(held_out.vectors)
    verdicts = index.classify(held_out.vectors, templates=held_out.templates)

    assert index.reference_map == "none"
    np.testing.assert_array_equal(verdicts.labels, without.labels)
    np.testing.assert_array_equal(verdicts.reject_probabilities, without.reject_probabilities)
    assert without.residuals is None
    assert verdicts.residuals is not None
    assert np.isfinite(verdicts.residuals.standardised_largest).all()


def test_a_vector_without_a_template_is_answered_as_if_none_were_taken(world: World) -> None:
    index, held_out = world.index("right"), world.held_out
    assert held_out.templates is not None
    templates = held_out.templates.copy()
    templates[::2] = np.nan

    verdicts = index.classify(held_out.vectors, templates=templates)

    without = index.classify(held_out.vectors)
    assert verdicts.residuals is not None
    assert verdicts.residuals.reference.tolist()[:2] == [ReferenceMap.NONE, ReferenceMap.TEMPLATE]
    for name in ("labels", "reject_probabilities", "probabilities", "decisions"):
        np.testing.assert_array_equal(getattr(verdicts, name)[::2], getattr(without, name)[::2])
    assert not np.array_equal(verdicts.labels[1::2], without.labels[1::2])


def test_batches_change_no_answer(world: World) -> None:
    index, held_out = world.index("right"), world.held_out.take(np.arange(12))
    assert held_out.templates is not None

    together = index.classify(held_out.vectors, templates=held_out.templates)
    alone = [
        index.classify(held_out.vectors[row : row + 1], templates=held_out.templates[row : row + 1])
        for row in range(len(held_out))
    ]

    np.testing.assert_array_equal(together.probabilities, np.concatenate([one.probabilities for one in alone]))


def test_what_is_kept_for_thresholds_is_what_is_served(world: World) -> None:
    index = world.index("right")
    scores = read_scores(world.store / "right" / "generations" / index.generation)
    residuals = index.calibration.residuals
    assert scores is not None
    assert residuals is not None

    is_reject = ~np.isin(scores.truth, index.pass_labels)
    found = escapes_at(scores.reject_probabilities, is_reject, 0.05, np.ones((1, len(scores))))[0]

    assert found == pytest.approx(residuals.escapes.with_terms)
    assert residuals.labels is not None
    labelled_pass = np.isin(scores.answered, index.pass_labels)
    assert labelled_pass[is_reject].mean() == pytest.approx(residuals.labels.escape_rate)
    assert (labelled_pass == (scores.reject_probabilities < 0.5)).all()


def test_an_evaluation_answers_as_the_station_does(world: World) -> None:
    index, held_out = world.index("right"), world.held_out

    asked = ask(Embedder.open(world.store.parent / "embedder"), held_out, world.known)

    verdicts = index.classify(held_out.vectors, templates=held_out.templates)
    assert asked.indexed is not None
    answered = asked.indexed.by(verdicts.method)
    assert answered.probabilities is not None
    np.testing.assert_array_equal(answered.labels, verdicts.labels)
    np.testing.assert_allclose(answered.probabilities, verdicts.probabilities, atol=1e-4)


@pytest.fixture
def copy(world: World, tmp_path: Path) -> StationFolder:
    """The station with right templates, to be changed: taken out and in again."""
    export(world.store / "right", tmp_path / "out.parquet")
    import_station(tmp_path / "out.parquet", tmp_path / "store", actor="test")
    return StationFolder(tmp_path / "store" / "right")


def settings(choice: ReferenceMapChoice) -> BuildSettings:
    return BuildSettings(reference_map=choice)


def test_templates_travel_with_an_export_and_calibrate_again(world: World, copy: StationFolder) -> None:
    embedder = world.store.parent / "embedder"

    rebuilt = rebuild(copy, embedder_folder=embedder)

    assert rebuilt.calibration.residuals == world.index("right").calibration.residuals


def test_a_rebuild_keeps_the_choice(world: World, copy: StationFolder) -> None:
    embedder = world.store.parent / "embedder"

    off = rebuild(copy, embedder_folder=embedder, settings=settings("off"))
    again = rebuild(copy)
    means = rebuild(copy, settings=settings("class-mean"))

    assert (off.calibration.residuals, again.calibration.residuals) == (None, None)
    assert means.calibration.residuals is not None
    assert means.calibration.residuals.reference_map == "class-mean"
    assert "none were offered" in residuals_text(off.calibration.residuals)
    assert "takes 20 rejects and as many passes" in residuals_text(off.calibration.residuals)


def test_canaries_bring_their_templates(world: World) -> None:
    folder = world.store / "right" / "generations" / "g000001"

    with np.load(folder / CANARIES_FILE) as stored:
        assert stored["templates"].shape == stored["vectors"].shape
        assert np.isfinite(stored["residuals"]).all()


def test_rows_that_two_generations_are_compared_on_bring_their_templates(world: World) -> None:
    station = world.store / "right"

    rows = unfitted_rows(station, [Side.open(station, SERVED)])

    assert rows.templates is not None
    assert escapes(world.index("right"), rows, rows.templates) < 0.4


def test_the_choice_and_its_reason_are_told(world: World) -> None:
    def told(station: str) -> str:
        arguments = ["describe", "--store", str(world.store), "--station", station]
        return CliRunner().invoke(app, arguments).stdout.replace("\n", " ")

    assert "residuals against templates, offered to the reject probability: taken; at 5% overkill" in told("right")
    assert "offered to the reject probability: not taken, for this is not beyond chance" in told("wrong")


def test_templates_that_cannot_be_used_are_refused(world: World) -> None:
    index = world.index("right")
    templates = np.zeros((4, SHAPE[0] * SHAPE[1]), dtype=np.float32)
    templates[1] = np.nan
    templates[2, 7] = np.nan
    templates[3, 5] = 1e6

    refused = index.refuse_templates(templates)

    assert refused[:2] == ("", "")
    assert refused[2] == "value 7 is nan, expected finite numbers"
    assert refused[3].startswith("values 0 … 1e+06 leave the trained range")


def test_where_few_rows_bring_templates_the_mean_of_the_passes_is_offered(world: World, tmp_path: Path) -> None:
    assert world.known.templates is not None
    templates = world.known.templates.copy()
    templates[30:] = np.nan

    built = build(tmp_path, "few", replace(world.known, templates=templates), world.store.parent / "embedder")

    assert built.calibration.residuals is not None
    assert built.calibration.residuals.reference_map == "class-mean"


@pytest.fixture(scope="module")
def of_means(tmp_path_factory: pytest.TempPathFactory) -> StationFolder:
    """A station of parts that look alike but for defects, whose embedder and few candidates know next to nothing."""
    folder = tmp_path_factory.mktemp("means")
    records = made_records(300, seed=5, name="part", faintest=100, labels=GOLDEN_LABELS)
    guessed = np.where(np.random.default_rng(0).random(len(records)) < 0.5, 0, 21).astype(np.int32)
    linear_discriminants(folder / "embedder", replace(records, labels=guessed))
    few = BuildSettings(n_candidates=5, n_voting=5)
    build(folder / "store", "line1", records, folder / "embedder", settings=few)
    return StationFolder(folder / "store" / "line1")


def test_the_mean_of_the_passes_is_taken_where_parts_look_alike(of_means: StationFolder) -> None:
    index, asked = open_index(of_means.path), made_records(60, seed=6, name="new", faintest=100)
    contents = index.contents
    without = InspectionIndex(replace(contents, calibration=replace(contents.calibration, residuals=None)))

    residuals = index.classify(asked.vectors).residuals

    assert index.reference_map == "class-mean"
    assert residuals is not None
    assert set(residuals.reference.tolist()) == {ReferenceMap.CLASS_MEAN}
    assert escapes(index, asked, None) < escapes(without, asked, None) - 0.1


def test_templates_change_nothing_where_the_mean_of_the_passes_is_taken(of_means: StationFolder) -> None:
    index, asked = open_index(of_means.path), made_records(10, seed=6, name="new")

    verdicts = index.classify(asked.vectors, templates=asked.vectors)

    np.testing.assert_array_equal(verdicts.reject_probabilities, index.classify(asked.vectors).reject_probabilities)


def test_passes_that_are_added_leave_the_mean_that_weights_were_fitted_to(of_means: StationFolder) -> None:
    index, asked = open_index(of_means.path), made_records(10, seed=6, name="new")
    bright = replace(made_records(30, seed=7, name="bright", labels=(0,)), ids=tuple(f"b{row}" for row in range(60)))
    before = index.classify(asked.vectors).residuals
    with ReferenceStore.open(of_means.path) as store:
        store.add(replace(bright, vectors=np.minimum(bright.vectors + 60, 255)), actor="test")

    after = open_live(of_means.path).classify(asked.vectors).residuals

    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after.l2, before.l2)
