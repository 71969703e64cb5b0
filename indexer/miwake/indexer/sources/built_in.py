"""The built-in synthetic data as a source: ``synthetic``, or ``synthetic:seed=3,parts=400,templates=1``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from miwake.indexer.errors import DataError
from miwake.indexer.records import DEFAULT_HEAT_MAP_SHAPE
from miwake.indexer.sources.raw import RawTable
from miwake.indexer.synthetic.generator import DEFAULT_PARTS, generate

if TYPE_CHECKING:
    from miwake.indexer.sources.settings import ReadSettings

NAME = "synthetic"


def read_built_in(source: str, settings: ReadSettings) -> RawTable:
    """Generate what ``source`` asks for.

    Raises
    ------
    DataError
        If it is not ``synthetic``, or asks for something else than ``seed``, ``parts`` and ``templates``.
    """
    asked = _options(source)
    records = generate(
        n_parts=asked["parts"],
        seed=asked["seed"],
        heat_map_shape=settings.heat_map_shape or DEFAULT_HEAT_MAP_SHAPE,
        with_templates=bool(asked["templates"]),
    )
    return RawTable(
        source=records.source,
        stem=NAME,
        vectors=records.vectors,
        value_name="data{}",
        labels=records.labels,
        texts={
            "failure_mode": records.failure_modes,
            "id": records.ids,
            "part": records.parts,
            "group": records.groups,
            **({"split": records.splits} if settings.split_column else {}),
        },
        heat_map_shape=records.heat_map_shape,
        pass_labels=records.pass_labels,
        value_range=records.value_range,
        templates=records.templates,
    )


def _options(source: str) -> dict[str, int]:
    numbers = {"seed": 0, "parts": DEFAULT_PARTS, "templates": 0}
    _, _, options = source.partition(":")
    for option in options.split(",") if options else ():
        match = re.fullmatch(r"(seed|parts|templates)=(\d{1,9})", option, re.ASCII)
        if match is None:
            message = f"{source}: {option!r}, expected {NAME}:seed=NUMBER,parts=NUMBER,templates=1"
            raise DataError(message)
        numbers[match[1]] = int(match[2])
    return numbers
