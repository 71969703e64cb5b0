from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from miwake.indexer.sources.settings import ReadSettings
from miwake.training.ablation.arms import arms_of
from miwake.training.ablation.cells import Cell
from miwake.training.ablation.comparing import Ablation, Figure, compare
from miwake.training.ablation.running import Place
from miwake.training.ablation.telling import csv_text, json_text, markdown, tables

TRUTH = (0, 0, 0, 0, 1, 1, 2, 2)
PARTS = (0, 0, 1, 2, 3, 3, 4, 5)
WRONG = {"first": ((0, 4, 6), (0, 4)), "second": ((0,), (0, 4))}
"""Rows that each arm answers wrongly with seeds 0 and 1: a pass as 1, a reject as 0."""


def answers(wrong: tuple[int, ...]) -> tuple[int, ...]:
    return tuple((0 if label else 1) if row in wrong else label for row, label in enumerate(TRUTH))


def grid(pass_labels: tuple[int, ...] = (0,), *, has_verdict: bool = True) -> Ablation:
    cells = {}
    for seed in (0, 1):
        for arm in arms_of(["first=best", "second=smnrt17"]):
            found = answers(WRONG[arm.name][seed])
            ways = {"nearest anchor": found, "15 nearest": found, **({"verdict": found} if has_verdict else {})}
            place = Place(
                source="a/parts.parquet", reading=ReadSettings(), arm=arm, seed=seed, fingerprint="f", path=Path("c")
            )
            cells[place] = Cell(
                settings={}, seed=seed, source="a/parts.parquet", data_fingerprint="f", truth=TRUTH, parts=PARTS,
                pass_labels=pass_labels, answers=ways, method="vote", n_steps=10, best_step=5 + seed, fit_cpu_s=2.0,
                cpu_s=3.0, torch="",
            )  # fmt: skip
    return compare(cells, n_draws=200)


def figure(found: Ablation, arm: str, metric: str) -> Figure:
    return next(one for one in found.figures if (one.arm, one.way, one.metric) == (arm, "verdict", metric))


@pytest.mark.parametrize(
    ("metric", "first", "second"),
    [
        ("accuracy", 11 / 16, 13 / 16),
        ("escape", 3 / 8, 1 / 8),
        ("overkill", 1 / 4, 1 / 4),
        ("balanced accuracy", (3 / 4 + 2 / 4 + 3 / 4) / 3, (3 / 4 + 3 / 4 + 4 / 4) / 3),
    ],
)
def test_every_figure_is_a_mean_over_seeds_beside_its_difference_to_the_first_arm(
    metric: str, first: float, second: float
) -> None:
    found = grid()
    one, two = figure(found, "first", metric), figure(found, "second", metric)
    assert (one.mean, two.mean) == pytest.approx((first, second))
    assert one.difference is None
    assert two.difference is not None
    assert two.difference.value == pytest.approx(second - first)


def test_without_pass_labels_there_are_no_escapes_and_no_overkills() -> None:
    assert {one.metric for one in grid(()).figures} == {"accuracy", "balanced accuracy"}


def test_without_a_calibration_there_is_no_verdict_to_compare() -> None:
    assert {one.way for one in grid(has_verdict=False).figures} == {"nearest anchor", "15 nearest"}


def test_what_the_runs_cost_is_told() -> None:
    run = grid().runs[0]
    assert (run.data, run.arm, run.n_steps, run.best_step, run.fit_cpu_s) == ("parts", "first", 10, 5.5, 2.0)


def test_the_csv_has_a_row_for_each_figure() -> None:
    found = grid()
    rows = list(csv.DictReader(io.StringIO(csv_text(found))))
    assert len(rows) == len(found.figures) == 2 * 3 * 4
    row = next(one for one in rows if (one["arm"], one["way"], one["metric"]) == ("second", "verdict", "accuracy"))
    assert float(row["mean"]) == pytest.approx(13 / 16)
    assert float(row["low"]) <= float(row["difference"]) == pytest.approx(1 / 8)
    assert (row["n_seeds"], row["n_parts"], row["n_rows"]) == ("2", "6", "8")
    assert next(one for one in rows if one["arm"] == "first")["difference"] == ""


def test_the_tables_for_people_name_the_baseline_and_the_interval() -> None:
    found = grid()
    told = markdown(found)
    assert told.startswith("### parts: 8 held-out rows of 6 parts, 2 seeds\n\n| arm | by | accuracy |")
    assert "| second | nearest anchor | 81.25 ± 8.84 +12.50 [" in told
    assert "the difference to first in points" in told
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(*tables(found))
    assert "+12.50 [" in console.export_text()


def test_the_json_is_the_whole_of_it() -> None:
    found = json.loads(json_text(grid()))
    assert found["baseline"] == "first"
    assert found["arms"]["second"]["preset"] == "smnrt17"
    assert len(found["figures"]) == 24
