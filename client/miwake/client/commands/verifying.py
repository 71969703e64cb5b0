"""Comparing two files pairwise: ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miwake.client.channel import DEFAULT_TIMEOUT_S
from miwake.client.commands.connecting import (
    DEFAULT_TARGET,
    Station,
    Target,
    Timeout,
    TlsCa,
    TokenFile,
    connect,
)
from miwake.client.commands.options import Json, Split
from miwake.client.commands.working import clean_exit, wants_json
from miwake.client.errors import DataFileError
from miwake.client.files import read_samples
from miwake.client.report import pair_values, to_json

if TYPE_CHECKING:
    from miwake.client.verifications import PairAnswer

PAIRS_TOGETHER = 256
"""Pairs in one request: 3 MB of vectors of 1,404 values."""


def verify(
    queries: Annotated[Path, typer.Argument(help="What is asked about: .parquet, .csv, .npz or .npy.")],
    references: Annotated[Path, typer.Argument(help="What each of them is compared with, row by row.")],
    *,
    max_false_accept_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Share of pairs of different classes that may be taken for the same; by default as many as the other "
            "way round.",
        ),
    ] = None,
    target: Target = DEFAULT_TARGET,
    station: Station = "",
    split: Split = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    tls_ca: TlsCa = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Say of the rows of two files, pair by pair, whether both are of the same class.

    Lines of text on a terminal; elsewhere one JSON object a line for each pair.
    """
    with clean_exit():
        first, second = read_samples(queries, split=split), read_samples(references, split=split)
        if len(first) != len(second):
            message = f"{references}: {len(second)} vectors, expected {len(first)} as in {queries}"
            raise DataFileError(message)
        asked, compared = list(first.inspections()), list(second.inspections())
        as_json = wants_json(json)
        with connect(target, station=station, timeout=timeout, tls_ca=tls_ca, token_file=token_file) as client:
            for start in range(0, len(asked), PAIRS_TOGETHER):
                some = slice(start, start + PAIRS_TOGETHER)
                answers = client.verify(asked[some], compared[some], max_false_accept_rate=max_false_accept_rate)
                for answer, other in zip(answers, second.ids[some], strict=True):
                    values = {**pair_values(answer), "reference_id": other}
                    print(to_json(values) if as_json else _line(answer, other), flush=True)


def _line(answer: PairAnswer, other: str) -> str:
    names = f"{answer.id} and {other}"
    if answer.verification is None:
        return f"{names}: {'' if answer.error is None else answer.error.message}"
    found, threshold = answer.verification, answer.threshold
    word = "same" if found.is_same else "different"
    measures = f"match distance {found.match_distance:.4g}, beta {found.beta:.4g}, eta {found.eta:.4g}"
    return (
        f"{names}: {word}, probability {found.probability:.3f}, distance {found.distance:.4g}, {measures}, "
        f"gamma {found.gamma:.4g} (by {threshold.distance.name.lower()} distance up to {threshold.at_most:.4g})"
    )
