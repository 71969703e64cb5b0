"""The command-line options that say how a data set is to be read, the same for every command that reads one."""

from __future__ import annotations

import inspect
import re
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from collections.abc import Callable

DATA_HELP = (
    "A Parquet, CSV or NPZ file, a saved Arrow data set, a folder of images (one folder a class), "
    "hf:owner/name of a Hugging Face data set, or 'synthetic' for built-in example data."
)

_DEFAULTS = ReadSettings()


def heat_map_shape(text: str) -> tuple[int, int]:
    """Return rows and columns from text such as ``36x39``.

    Raises
    ------
    typer.BadParameter
        If it is something else.
    """
    match = re.fullmatch(r"([1-9]\d*)\s*[x×]\s*([1-9]\d*)", text.strip())
    if match is None:
        message = f"{text!r}: expected ROWSxCOLUMNS, such as 36x39"
        raise typer.BadParameter(message)
    return int(match[1]), int(match[2])


def pass_labels(text: str) -> tuple[int, ...]:
    """Return labels from text such as ``0,4``; the empty text means that no label is a pass.

    Raises
    ------
    typer.BadParameter
        If it is something else.
    """
    try:
        return tuple(int(one) for one in text.split(",")) if text.strip() else ()
    except ValueError:
        message = f"{text!r}: expected whole numbers with commas between them, such as 0,4, or nothing"
        raise typer.BadParameter(message) from None


def value_range(text: str) -> tuple[float, float]:
    """Return the low and high end of a scale from text such as ``0:255``.

    Raises
    ------
    typer.BadParameter
        If it is something else.
    """
    try:
        low, high = (float(one) for one in text.split(":"))
    except ValueError:
        low, high = 0.0, 0.0
    if not low < high or high - low == float("inf"):
        message = f"{text!r}: expected LOW:HIGH with LOW before HIGH, such as 0:255"
        raise typer.BadParameter(message)
    return low, high


_OPTIONS: dict[str, Any] = {
    "label_column": Annotated[str, typer.Option(help="Column with the class code.")],
    "failure_mode_column": Annotated[
        str | None, typer.Option(help="Column with the failure mode.", show_default="failure_mode, else fmode")
    ],
    "part_column": Annotated[str, typer.Option(help="Column with the physical part; splits never cut one.")],
    "group_column": Annotated[str, typer.Option(help="Column with what parts have in common, such as a lot.")],
    "split_column": Annotated[str, typer.Option(help="Column that says train or test.")],
    "id_column": Annotated[str, typer.Option(help="Column with a text that is unique to each row.")],
    "time_column": Annotated[str, typer.Option(help="Column with the time of inspection, ISO 8601.")],
    "vector_column_prefix": Annotated[str, typer.Option(help="What the columns of the values begin with.")],
    "heat_map_shape": Annotated[
        Any, typer.Option(parser=heat_map_shape, metavar="ROWSxCOLUMNS", help="Where the data do not say it.")
    ],
    "pass_labels": Annotated[
        Any, typer.Option(parser=pass_labels, metavar="LABELS", help="Labels that mean pass, such as 0,4.")
    ],
    "value_range": Annotated[
        Any, typer.Option(parser=value_range, metavar="LOW:HIGH", help="The scale of the values, such as 0:255.")
    ],
    "skip_bad_rows": Annotated[
        bool, typer.Option("--skip-bad-rows", help="Drop and report rows that cannot be used, instead of failing.")
    ],
}
"""One for each field of ``ReadSettings``, by its name."""


def with_read_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``ReadSettings``; it receives them as its keyword argument ``reading``."""
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.name != "reading"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(_DEFAULTS, name), annotation=kind)
        for name, kind in _OPTIONS.items()
    ]

    @wraps(command)
    def wrapped(**given: Any) -> None:
        reading = ReadSettings(**{name: given.pop(name) for name in _OPTIONS})
        command(**given, reading=reading)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + added
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in parameters}
    return wrapped
