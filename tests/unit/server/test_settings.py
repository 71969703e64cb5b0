from __future__ import annotations

import json
from pathlib import Path

import pytest

from miwake.server.errors import SettingsError
from miwake.server.settings import Settings, resolve
from support.settings import SAMPLES


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "miwake.toml"
    path.write_text('store = "from-file"\nport = 1001\nmax_batch = 11\nstations = ["a", "b"]\n')
    return path


def test_a_flag_comes_before_the_environment_and_that_before_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIWAKE_PORT", "1002")
    monkeypatch.setenv("MIWAKE_MAX_BATCH", "12")

    settings = resolve({"max_batch": 13}, config)

    assert settings.max_batch == 13
    assert settings.port == 1002
    assert settings.store == Path("from-file")
    assert settings.stations == ("a", "b")
    assert settings.address == "127.0.0.1"


def test_a_flag_that_was_not_given_hides_nothing(config: Path) -> None:
    assert resolve({"port": None}, config).port == 1001


def test_stations_in_the_environment_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIWAKE_STATIONS", "a, b")

    assert resolve({"store": Path("store")}, None).stations == ("a", "b")


def test_other_variables_of_miwake_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIWAKE_TEST_DATA", "elsewhere")

    assert resolve({"store": Path("store")}, None).store == Path("store")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "setting store: Field required"),
        ({"store": "s", "port": 65536}, "setting port: Input should be less than or equal to 65535, came 65536"),
        ({"store": "s", "max_batch": 0}, "setting max_batch: .* greater than or equal to 1, came 0"),
        ({"store": "s", "poll_s": 0.0}, r"setting poll_s: .* greater than 0, came 0\.0"),
        ({"store": "s", "colour": "red"}, "setting colour: Extra inputs are not permitted, came 'red'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(flags: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve(flags, None)


def test_an_unknown_key_of_the_file_is_named(config: Path) -> None:
    config.write_text('store = "s"\nprot = 1\n')

    with pytest.raises(SettingsError, match="setting prot: Extra inputs"):
        resolve({}, config)


def test_a_file_that_is_no_toml_is_named(config: Path) -> None:
    config.write_text("store = \n")

    with pytest.raises(SettingsError, match=r"miwake\.toml: .*line 1"):
        resolve({}, config)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: no such file"):
        resolve({}, tmp_path / "none.toml")


def test_every_setting_has_a_sample() -> None:
    assert SAMPLES.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_setting_comes_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SAMPLES[name]
    monkeypatch.setenv("MIWAKE_STORE", "store")
    monkeypatch.setenv(f"MIWAKE_{name.upper()}", sample.text)

    assert resolve({}, None).model_dump(mode="json")[name] == sample.value


@pytest.mark.parametrize("name", SAMPLES)
def test_every_setting_comes_from_the_file(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]
    config = tmp_path / "miwake.toml"
    store = "" if name == "store" else 'store = "store"\n'
    config.write_text(f"{store}{name} = {json.dumps(sample.value)}\n")

    assert resolve({}, config).model_dump(mode="json")[name] == sample.value
