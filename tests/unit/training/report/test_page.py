"""The page of a report says what the evaluation says, about any classes and shapes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from miwake.indexer.records import Records
from miwake.indexer.splits import held_out_split
from miwake.indexer.telling.rates import number, percent, rate_text
from miwake.training.evaluate import EmbedderEvaluation, examine_held_out
from miwake.training.report import sections
from miwake.training.report.findings import Findings, find
from miwake.training.report.page import Occasion, Report, report_page
from miwake.training.report.picture_rows import case_row
from support.blobs import blob_records
from support.browser import Page
from support.embedders import linear_discriminants

OCCASION = Occasion(
    made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), rows="held-out", command="miwake-train report x", no_log="No log."
)
PLANTED = "planted <worst> escape"


@dataclass(frozen=True, repr=False)
class Made:
    findings: Findings
    report: Report
    page: Page

    @property
    def evaluation(self) -> EmbedderEvaluation:
        return self.findings.evaluation

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.page.shown).replace("\N{NO-BREAK SPACE}", " ").split())


def made(records: Records, folder: Path) -> Made:
    embedder = linear_discriminants(folder, held_out_split(records)[0])
    findings = find(examine_held_out(embedder, records), embedder, None)
    report = report_page(findings, OCCASION)
    return Made(findings, report, Page(report.html))


def with_a_planted_escape(records: Records) -> Records:
    """Return the records with one held-out reject, a dent of a part of its own, that looks as passes do."""
    row = next(row for row, split in enumerate(records.splits) if split == "test" and records.labels[row] == 3)
    passes = (records.labels == 0) & (np.array(records.splits) == "train")
    vectors, parts, ids = records.vectors.copy(), list(records.parts), list(records.ids)
    vectors[row] = records.vectors[passes].mean(axis=0) + 0.2 * (records.vectors[passes][0] - 90)
    parts[row], ids[row] = "planted part", PLANTED
    return replace(records, vectors=vectors, parts=tuple(parts), ids=tuple(ids))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Made:
    records = with_a_planted_escape(blob_records(240))
    groups = tuple(f"lot {int(part.split()[1]) % 2}" if part.startswith("part ") else "" for part in records.parts)
    return made(replace(records, groups=groups), tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def without_passes(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the report on two classes, neither of which is a pass, on maps of one row."""
    records = blob_records(120, labels=(1, 7))
    flat = replace(records, pass_labels=(), heat_map_shape=(1, 156))
    return made(flat, tmp_path_factory.mktemp("flat"))


def many_classes(n_classes: int) -> Records:
    """Return records of many classes: a bright cell in another place for each, on 8 x 10 maps."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_classes, dtype=np.int32), 24)
    maps = rng.normal(60, 12, (len(labels), 80))
    maps[np.arange(len(labels)), 2 * labels] += 130
    few = blob_records(len(labels) // 2)
    return replace(
        few,
        vectors=np.clip(maps, 0, 255).astype(np.float32),
        labels=labels,
        failure_modes=tuple(f"mode {label} with a name that is far too long for a tick" for label in labels.tolist()),
        splits=tuple("test" if row % 24 >= 18 else "train" for row in range(len(labels))),
        heat_map_shape=(8, 10),
    )


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(many_classes(30), tmp_path_factory.mktemp("thirty"))


@pytest.fixture(params=["blobs", "without_passes", "thirty"])
def any_page(request: pytest.FixtureRequest) -> Made:
    found: Made = request.getfixturevalue(request.param)
    return found


def test_the_key_figures_are_those_of_the_evaluation(blobs: Made) -> None:
    way = blobs.evaluation.ways()[blobs.findings.way]

    assert way is not None
    for value in (
        percent(way.accuracy.value), percent(way.balanced_accuracy), number(way.macro_f1),
        percent(way.escape.value if way.escape else None), number(way.calibration_error),
    ):  # fmt: skip
        assert value in blobs.page.shown
    assert f"{way.accuracy.n_counted} of {way.accuracy.n_rows} queries" in blobs.text


@pytest.mark.parametrize("way", ["nearest anchor", "15 nearest", "SOART3 vote"])
def test_every_way_to_a_label_stands_beside_the_others(blobs: Made, way: str) -> None:
    found = blobs.evaluation.ways()[way]

    assert found is not None
    told = rate_text(found.accuracy).split(", ")[0]
    assert way in blobs.page.shown
    assert told in blobs.text


def test_classes_groups_and_new_classes_are_told(blobs: Made) -> None:
    assert {"0 pass", "1 burr", "3 dent", "lot 0", "lot 1"} <= set(blobs.page.shown)
    assert blobs.evaluation.open_set is not None
    assert number(blobs.evaluation.open_set.auroc) in blobs.page.shown


def test_curves_are_told_in_numbers_too(blobs: Made) -> None:
    for one in blobs.evaluation.verification["references"].values():
        assert number(one.auc) in blobs.page.shown
        assert percent(one.equal_error_rate) in blobs.text
    assert blobs.findings.gap is not None
    assert f"d′ = {blobs.findings.gap.d_prime:.2f}" in blobs.text


def test_the_overlap_stands_in_words_beside_the_picture(blobs: Made) -> None:
    (alt,) = [one["alt"] or "" for one in blobs.page.all("img") if "pair distances" in (one["alt"] or "")]

    for spread in blobs.findings.pairs.spreads().values():
        assert f"{spread.overlap:.3f}" in alt


def test_the_worst_escape_is_shown_first_with_all_that_is_known_of_it(blobs: Made) -> None:
    cards = re.findall(r'<section class="card alarm">(.*?)</section>', blobs.report.html, re.DOTALL)

    first = Page(cards[0])
    assert PLANTED in first.shown
    assert "planted part" in first.shown
    assert "3 dent" in first.shown
    assert "0 pass" in first.shown
    alts = [one["alt"] for one in first.all("img")]
    assert alts == [
        f"heat map: {name}" for name in ("measurement", "answered label's anchor", "nearest reference", "difference")
    ]
    worst = next(iter(blobs.findings.worst.cases.values()))[0]
    assert f"{worst.reject_probability:.3f}" in " ".join(first.shown)


def test_the_worst_of_each_kind_come_in_order(blobs: Made) -> None:
    escapes, overkills = (
        [case.reject_probability or 0.0 for case in cases] for cases in blobs.findings.worst.cases.values()
    )

    assert escapes == sorted(escapes)
    assert overkills == sorted(overkills, reverse=True)


def test_nothing_but_the_page_is_needed(any_page: Made) -> None:
    assert any_page.page.open == []
    assert {tag for tag, _ in any_page.page.tags} & {"script", "link", "iframe", "object", "svg"} == set()
    assert "default-src 'none'" in any_page.report.html
    sources = [one["src"] or "" for one in any_page.page.all("img")]
    assert len(sources) >= 10
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"url\(|@import|https?:", any_page.report.html)


def test_every_picture_says_what_it_shows_and_has_a_caption(any_page: Made) -> None:
    assert all(len(one["alt"] or "") > 10 for one in any_page.page.all("img"))
    figures = re.findall(r"<figure.*?</figure>", any_page.report.html, re.DOTALL)
    assert len(figures) == len(any_page.page.all("img"))
    assert all("<figcaption>" in figure for figure in figures)


def test_the_table_of_contents_leads_to_every_section(any_page: Made) -> None:
    targets = [one["href"] for one in any_page.page.all("a")]

    assert targets == [f"#{one['id']}" for one in any_page.page.all("section") if "id" in one]
    assert len(targets) == 12


def test_without_pass_labels_nothing_escapes_and_wrong_labels_are_shown(without_passes: Made) -> None:
    assert "none: there are neither escapes nor overkills" in without_passes.page.shown
    assert list(without_passes.findings.worst.cases) == ["wrong label"]
    assert (without_passes.findings.gap, without_passes.findings.trade_off) == (None, None)
    assert without_passes.text.count("– no pass labels") == 2


def test_thirty_classes_are_all_named(thirty: Made) -> None:
    assert len(thirty.evaluation.classes) == 30
    anchors = [name for name in thirty.report.pictures if name.startswith("anchor-")]
    assert len(anchors) == 30


def test_too_few_rows_to_calibrate_leave_what_needs_no_calibration(tmp_path: Path) -> None:
    few = blob_records(7, seed=9, first_part=1000, labels=(0, 1))
    embedder = linear_discriminants(tmp_path, held_out_split(blob_records(60))[0])

    asked = replace(few, splits=("train",) * 8 + ("test",) * 6)
    findings = find(examine_held_out(embedder, asked), embedder, None)

    assert findings.evaluation.calibrations == ()
    assert "Not calibrated:" in sections.trade_off_section(findings).html()
    assert "Not calibrated:" in sections.watching_section(findings).html()
    told = sections.reliability_section(findings)
    assert list(told.pictures) == ["reliability"]  # the share of the votes is a probability, if not a calibrated one


def test_texts_are_shown_as_they_are(blobs: Made) -> None:
    assert "planted &lt;worst&gt; escape" in blobs.report.html
    assert "<worst>" not in blobs.report.html


def test_drawing_leaves_the_settings_of_matplotlib_alone(blobs: Made) -> None:
    assert blobs.report.pictures
    assert mpl.rcParams["font.family"] == ["sans-serif"]
    assert mpl.rcParams["axes.grid"] is False


def test_where_no_reference_is_of_another_part_the_anchor_stands_alone(blobs: Made) -> None:
    case = replace(next(iter(blobs.findings.worst.cases.values()))[0], reference_row=-1)

    shown = case_row(blobs.findings, case, 1)

    assert [one.name for one in shown.maps] == ["measurement", "answered label's anchor"]
