"""Texts that are read out of a mapped column, against Arrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from miwake.indexer.storage.text_column import TextColumn

TEXTS = ("", "p-1", "見分け", "a" * 300, "é", "", "p-2")


def column(texts: tuple[str, ...] = TEXTS) -> pa.Array:
    return pa.array(texts, type=pa.large_utf8())


@pytest.mark.parametrize("positions", [[], [0], [1, 6, 6, 3], [2, 1, 4, 0, 5], [[1, 2], [3, 4]]])
def test_the_texts_are_those_that_arrow_takes(positions: list[int]) -> None:
    wanted = np.array(positions, dtype=np.int64)
    expected = column().take(pa.array(wanted.ravel())).to_pylist()
    assert TextColumn(column()).at(wanted) == tuple(expected)


def test_a_part_of_a_column_begins_at_its_own_first() -> None:
    assert TextColumn(column()[2:5]).at(np.array([0, 2])) == ("見分け", "é")


@pytest.mark.parametrize("texts", [(), ("", "")])
def test_a_column_without_any_characters_can_be_read(texts: tuple[str, ...]) -> None:
    assert TextColumn(column(texts)).at(np.arange(len(texts))) == texts


@pytest.mark.parametrize("position", [-1, 7])
def test_a_position_beyond_the_column_is_an_error(position: int) -> None:
    with pytest.raises(IndexError):
        TextColumn(column()).at(np.array([2, position]))
