"""What every command does: tell errors as one line, and end with the status that fits."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from miwake.client.errors import MiwakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: whoever read our output has gone."""


def wants_json(json: bool) -> bool:
    """Return whether JSON is wanted: where it is asked for, and where no terminal shows the output."""
    return json or not sys.stdout.isatty()


@contextmanager
def usage(option: str) -> Iterator[None]:
    """Tell values that an option cannot have as wrong usage."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@contextmanager
def clean_exit() -> Iterator[None]:
    """Tell our errors as one line, and end as shells expect of what was interrupted."""
    try:
        yield
    except MiwakeError as error:
        print(f"miwake-client: {' '.join(str(error).split())}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_BROKEN_PIPE) from None
