"""Finding the columns of a table by their names."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from miwake.indexer.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.indexer.sources.settings import ReadSettings

VECTOR_COLUMN = "vector"
"""The name of a single column that holds the whole vector as a list."""

TEMPLATE_COLUMN = "template"
"""The name of a list column with the template, and what the columns of its values begin with."""


def find_vector_columns(source: str, names: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Return the columns that make up the vector, in order: ``data0``, ``data1``, …, or ``vector`` alone.

    Raises
    ------
    DataError
        If there is none, if the numbers leave a gap, or if two columns have the same number.
    """
    columns = _numbered(source, names, prefix, "the vector")
    if columns:
        return columns
    if VECTOR_COLUMN in names:
        return (VECTOR_COLUMN,)
    message = (
        f"{source}: no vector, expected columns {prefix}0, {prefix}1, … or a list column {VECTOR_COLUMN}; "
        f"it has {name_columns(names)}"
    )
    raise DataError(message)


def find_template_columns(source: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that make up the template: ``template0``, ``template1``, …, or ``template`` alone, or none.

    A lone column with another number than 0 is something else.

    Raises
    ------
    DataError
        If the numbers leave a gap, or if two columns have the same number.
    """
    alone = [name for name in names if re.fullmatch(TEMPLATE_COLUMN + r"\d+", name, re.ASCII)]
    is_something_else = len(alone) == 1 and int(alone[0].removeprefix(TEMPLATE_COLUMN)) > 0
    columns = () if is_something_else else _numbered(source, names, TEMPLATE_COLUMN, "the template")
    return columns or ((TEMPLATE_COLUMN,) if TEMPLATE_COLUMN in names else ())


def _numbered(source: str, names: Sequence[str], prefix: str, what: str) -> tuple[str, ...]:
    pattern = re.compile(re.escape(prefix) + r"(\d+)", re.ASCII)
    numbered: dict[int, str] = {}
    for name in names:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        number = int(match[1])
        if number in numbered:
            message = f"{source}: columns {numbered[number]} and {name} are both value {number} of {what}"
            raise DataError(message)
        numbered[number] = name
    for number in range(len(numbered)):
        if number not in numbered:
            message = f"{source}: column {prefix}{number} is missing (the last one is {numbered[max(numbered)]})"
            raise DataError(message)
    return tuple(numbered[number] for number in range(len(numbered)))


def find_label_column(source: str, names: Sequence[str], settings: ReadSettings) -> str:
    """Return the label column; the empty text where labels are not read.

    Raises
    ------
    DataError
        If it is not there.
    """
    if not settings.is_labelled:
        return ""
    if settings.label_column in names:
        return settings.label_column
    message = f"{source}: no label column {settings.label_column!r}; it has {name_columns(names)}"
    raise DataError(message)


def find_text_columns(source: str, names: Sequence[str], settings: ReadSettings) -> dict[str, str]:
    """Return the column of each text field of a record that the table has.

    Raises
    ------
    DataError
        If a column that the caller named is not there.
    """
    found: dict[str, str] = {}
    for field, candidates in settings.text_columns().items():
        present = [column for column in candidates if column in names]
        if present:
            found[field] = present[0]
        elif settings.is_required(field):
            message = f"{source}: no {field.replace('_', '-')} column {candidates[0]!r}; it has {name_columns(names)}"
            raise DataError(message)
    return found


def refuse_repeated_columns(source: str, names: Sequence[str]) -> None:
    """Raise DataError if a column name appears twice."""
    for name, count in Counter(names).items():
        if count > 1:
            message = f"{source}: {count} columns are named {name!r}"
            raise DataError(message)


def name_columns(names: Sequence[str]) -> str:
    """Return column names for a message, the numbered ones as ``data0 … data1403``."""
    shown: dict[str, list[str]] = {}
    for name in names:
        stem = name.rstrip("0123456789")
        shown.setdefault(stem if stem != name else f"={name}", []).append(name)
    texts = [group[0] if len(group) == 1 else f"{group[0]} … {group[-1]}" for group in shown.values()]
    return ", ".join(texts[:20]) + (", …" if len(texts) > 20 else "") if texts else "no columns"
