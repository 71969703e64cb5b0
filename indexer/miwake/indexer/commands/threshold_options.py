"""The options by which promises, costs and thresholds are asked for: of ``build``, ``rebuild`` and ``thresholds``."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "max_escape": (
        Annotated[
            list[str] | None,
            typer.Option(
                metavar="SHARE",
                help="Promise: at most this share of reject parts is decided PASS, such as 0.1%; 44=1% of one class.",
            ),
        ],
        None,
    ),
    "per_class": (
        Annotated[
            bool, typer.Option("--per-class", help="Promise it of each reject class that has enough parts, too.")
        ],
        False,
    ),
    "max_overkill": (
        Annotated[
            str | None,
            typer.Option(metavar="SHARE", help="Promise: of the pass parts at most this share is decided REJECT."),
        ],
        None,
    ),
    "cost": (
        Annotated[
            str | None,
            typer.Option(
                metavar="COSTS",
                help="The thresholds that cost least: escape=100,overkill=1,review=0.2, or a JSON or TOML file.",
            ),
        ],
        None,
    ),
    "reject_share": (
        Annotated[
            str | None,
            typer.Option(metavar="SHARE", help="Rejects among the parts of the line, for the expected cost."),
        ],
        None,
    ),
    "novelty_false_alarms": (
        Annotated[
            str | None,
            typer.Option(metavar="SHARE", help="Promise: of vectors of known classes at most this share is UNKNOWN."),
        ],
        None,
    ),
    "pass_at_most": (
        Annotated[float | None, typer.Option(help="PASS up to this reject probability, in place of a promise.")],
        None,
    ),
    "reject_at_least": (
        Annotated[float | None, typer.Option(help="REJECT from this reject probability on, in place of a promise.")],
        None,
    ),
    "sure_at_least": (
        Annotated[float | None, typer.Option(help="Without pass labels: REVIEW below this probability of the label.")],
        None,
    ),
    "health_at_most": (
        Annotated[
            str | None,
            typer.Option(
                metavar="LIMITS",
                help="No PASS for an input whose health is beyond this many times its limits; off: any may.",
            ),
        ],
        None,
    ),
}
"""One for each field of ``ThresholdRequest``, by its name, with its default."""


def with_threshold_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``ThresholdRequest``; it receives them as its keyword argument ``asked``."""
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.name != "asked"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _OPTIONS.items()
    ]

    @wraps(command)
    def wrapped(**given: Any) -> None:
        asked = {name: given.pop(name) for name in _OPTIONS}
        command(**given, asked=asked)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + added
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in parameters}
    return wrapped


def request_of(asked: dict[str, Any]) -> Any:  # a dataclass of a module that is imported late
    """Return the ``ThresholdRequest`` that a command's options make.

    Raises
    ------
    typer.BadParameter
        If they contradict each other, or one of them says no share or cost.
    """
    from miwake.indexer.errors import DataError  # noqa: PLC0415

    try:
        return _parsed(asked)
    except DataError as error:
        raise typer.BadParameter(str(error)) from None


def _parsed(asked: dict[str, Any]) -> Any:
    from miwake.indexer.verdict.costs import parse_costs  # noqa: PLC0415
    from miwake.indexer.verdict.request import ThresholdRequest, deviation_of, escapes_of, share_of  # noqa: PLC0415

    def share(name: str) -> float | None:
        return None if asked[name] is None else share_of(asked[name])

    max_escape, max_escape_of = escapes_of(asked["max_escape"] or ())
    return ThresholdRequest(
        max_escape=max_escape,
        max_escape_of=max_escape_of,
        per_class=asked["per_class"],
        max_overkill=share("max_overkill"),
        cost=None if asked["cost"] is None else parse_costs(asked["cost"]),
        reject_share=share("reject_share"),
        novelty_false_alarms=share("novelty_false_alarms"),
        pass_at_most=asked["pass_at_most"],
        reject_at_least=asked["reject_at_least"],
        sure_at_least=asked["sure_at_least"],
        health_at_most=None if asked["health_at_most"] is None else deviation_of(asked["health_at_most"]),
    )
