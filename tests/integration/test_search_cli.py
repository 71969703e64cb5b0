"""``miwake-index search`` with filters and options, against the index asked directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from miwake.indexer.build import build
from miwake.indexer.cli import app
from miwake.indexer.filters import AllOf, LabelIn, Not, PartIn
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.search.options import SearchOptions
from support.blobs import blob_records
from support.embedders import linear_discriminants


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    records = blob_records(150)
    linear_discriminants(folder / "embedder", records)
    build(folder / "store", "line1", records, folder / "embedder")
    return folder / "store"


@pytest.fixture(scope="module")
def index(store: Path) -> InspectionIndex:
    return open_index(store / "line1")


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("query") / "query.npz"
    records = blob_records(5, seed=3, first_part=900)
    np.savez(path, vectors=records.vectors, labels=records.labels, heat_map_shape=np.array(records.heat_map_shape))
    return path


def run(store: Path, query: Path, *options: object) -> Result:
    arguments = ["search", query, "--store", store, "--neighbours", 6, *options]
    return CliRunner().invoke(app, [str(one) for one in arguments])


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [one["id"] for one in json.loads(result.stdout)["neighbours"]]


def vector(query: Path) -> np.ndarray:
    return np.asarray(np.load(query)["vectors"][:1])


def test_conditions_filter_and_all_must_hold(store: Path, index: InspectionIndex, query: Path) -> None:
    found = ids(run(store, query, "--where", "label=1,3", "--where", "part!=part 1", "--json"))

    where = AllOf((LabelIn((1, 3)), Not(PartIn(("part 1",)))))
    assert found == list(index.search(vector(query), n_neighbours=6, where=where).ids[0])


@pytest.mark.parametrize(
    ("options", "same"),
    [
        (["--p-eta", 1, "--p-gamma", 3], {"p_eta": 1, "p_gamma": 3}),
        (["--space", "raw"], {"space": "raw"}),
        (["--candidates", 10], {"n_candidates": 10}),
        (["--exhaustive", "--space", "raw"], {"exhaustive": True, "space": "raw"}),
    ],
)
def test_options_are_those_of_the_index(
    options: list[Any], same: dict[str, Any], store: Path, index: InspectionIndex, query: Path
) -> None:
    found = ids(run(store, query, *options, "--json"))

    assert found == list(index.search(vector(query), n_neighbours=6, options=SearchOptions(**same)).ids[0])


def test_a_filter_that_lets_nothing_through_is_told(store: Path, query: Path) -> None:
    told = run(store, query, "--where", "label=99")

    assert told.exit_code == 0
    assert told.stdout == "no reference of line1 g000001 is one that --where asks for\n"
    assert ids(run(store, query, "--where", "label=99", "--json")) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--where", "lable=1"], "expected a condition on one of label, failure_mode"),
        (["--where", "time<2026-01-01T12:00"], "bears no time zone"),
        (["--exhaustive", "--candidates", 5], "beside exhaustive"),
        (["--p-eta", 9], "less than or equal to 8"),
        (["--space", "cooked"], "'cooked'"),
    ],
)
def test_wrong_usage_is_told_as_such(options: list[Any], problem: str, store: Path, query: Path) -> None:
    result = run(store, query, *options)

    assert result.exit_code == 2
    assert problem in " ".join(result.output.replace("│", " ").split())
