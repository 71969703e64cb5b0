"""The two clients behind one face, so that one test holds for both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from miwake.client import Answer, AsyncClient, Client, MiwakeError, NeighboursAnswer, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from miwake.client.inspections import Vectors

KINDS = ["blocking", "asyncio"]


def inspect(kind: str, target: str, items: Iterable[Any], **options: Any) -> tuple[list[Answer], Exception | None]:
    """Return all answers of a stream, and the error it ended with; it is only taken up again with a ``retry``."""
    return (
        inspect_blocking(target, items, **options)
        if kind == "blocking"
        else asyncio.run(inspect_asyncio(target, items, **options))
    )


def inspect_blocking(
    target: str, items: Iterable[Any], *, retry: Retry | None = None, **options: Any
) -> tuple[list[Answer], Exception | None]:
    answers: list[Answer] = []
    with Client(target, retry=retry) as client:
        try:
            answers.extend(client.inspect(items, **options))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return answers, error
    return answers, None


async def inspect_asyncio(
    target: str, items: Any, *, retry: Retry | None = None, **options: Any
) -> tuple[list[Answer], Exception | None]:
    answers: list[Answer] = []
    async with AsyncClient(target, retry=retry) as client:
        try:
            async for answer in client.inspect(items, **options):
                answers.append(answer)  # noqa: PERF401 - a comprehension would lose the answers before an error
        except Exception as error:  # noqa: BLE001
            return answers, error
    return answers, None


def classify(kind: str, target: str, vectors: Vectors, *, retry: Retry | None = None, **options: Any) -> list[Answer]:
    """Return the answers to a batch; it is only asked for again with a ``retry``."""
    if kind == "blocking":
        with Client(target, retry=retry) as client:
            return client.classify(vectors, **options)

    async def call() -> list[Answer]:
        async with AsyncClient(target, retry=retry) as client:
            return await client.classify(vectors, **options)

    return asyncio.run(call())


def search_neighbours(
    kind: str, target: str, vectors: Vectors, *, retry: Retry | None = None, **options: Any
) -> list[NeighboursAnswer]:
    """Return the neighbours of a batch; they are only asked for again with a ``retry``."""
    if kind == "blocking":
        with Client(target, retry=retry) as client:
            return client.search_neighbours(vectors, **options)

    async def call() -> list[NeighboursAnswer]:
        async with AsyncClient(target, retry=retry) as client:
            return await client.search_neighbours(vectors, **options)

    return asyncio.run(call())


def error_of(call: Callable[[], object]) -> MiwakeError:
    """Return the error that a call ends with."""
    try:
        call()
    except MiwakeError as error:
        return error
    message = "no error, expected one"
    raise AssertionError(message)
