from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from miwake.indexer.sources.options import with_read_options
from miwake.indexer.sources.settings import ReadSettings

received: list[Any] = []
app = typer.Typer(add_completion=False)


@app.command()
@with_read_options
def read(data: str, *, reading: ReadSettings) -> None:
    received.append((data, reading))


@pytest.fixture(autouse=True)
def forget() -> None:
    received.clear()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], ReadSettings()),
        (["--label-column", "code"], ReadSettings(label_column="code")),
        (["--failure-mode-column", "how"], ReadSettings(failure_mode_column="how")),
        (["--part-column", "board"], ReadSettings(part_column="board")),
        (["--group-column", "lot"], ReadSettings(group_column="lot")),
        (["--split-column", ""], ReadSettings(split_column="")),
        (["--id-column", "key"], ReadSettings(id_column="key")),
        (["--time-column", "when"], ReadSettings(time_column="when")),
        (["--vector-column-prefix", "v"], ReadSettings(vector_column_prefix="v")),
        (["--heat-map-shape", "36x39"], ReadSettings(heat_map_shape=(36, 39))),
        (["--pass-labels", "0,4"], ReadSettings(pass_labels=(0, 4))),
        (["--pass-labels", ""], ReadSettings(pass_labels=())),
        (["--value-range", "-1:1.5"], ReadSettings(value_range=(-1.0, 1.5))),
        (["--skip-bad-rows"], ReadSettings(skip_bad_rows=True)),
    ],
)
def test_an_option_becomes_a_setting(arguments: list[str], settings: ReadSettings) -> None:
    result = CliRunner().invoke(app, ["boards.csv", *arguments])

    assert result.exit_code == 0, result.output
    assert received == [("boards.csv", settings)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--heat-map-shape", "36"),
        ("--heat-map-shape", "0x39"),
        ("--heat-map-shape", "-2x39"),
        ("--pass-labels", "good"),
        ("--pass-labels", "0,,4"),
        ("--value-range", "9:1"),
        ("--value-range", "1:1"),
        ("--value-range", "0"),
        ("--value-range", "0:inf"),
        ("--value-range", "nan:1"),
    ],
)
def test_a_value_that_makes_no_sense_is_wrong_usage(option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["boards.csv", option, value])

    assert result.exit_code == 2
    assert received == []


def test_every_setting_of_the_data_has_an_option() -> None:
    # The flatness is a property of a station: the commands that create one have an option of their own for it. That
    # there are no labels is for `diff` alone to be told: no other command has a use for such data.
    options = {parameter.name for parameter in typer.main.get_command(app).params}

    assert options == {"data", *(field.name for field in dataclasses.fields(ReadSettings))} - {
        "flatness",
        "is_labelled",
    }
