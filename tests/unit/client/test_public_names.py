from __future__ import annotations

import types

import miwake.client


def test_all_names_what_is_really_there() -> None:
    public = [
        name
        for name, value in vars(miwake.client).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    ]

    assert sorted(public) == miwake.client.__all__


def test_every_error_has_the_one_base() -> None:
    errors = [
        value
        for name in miwake.client.__all__
        if isinstance(value := getattr(miwake.client, name), type) and issubclass(value, Exception)
    ]

    assert len(errors) == 15
    assert all(issubclass(error, miwake.client.MiwakeError) for error in errors)
