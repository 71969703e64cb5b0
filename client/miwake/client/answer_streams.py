"""What ``inspect`` returns: the answers as an iterator, and how far the stream has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from types import TracebackType

    from miwake.client.answers import Answer
    from miwake.client.flow import Flow
    from miwake.client.recovery import Recovery


class Progress:
    """How far a stream has come."""

    def __init__(self, flow: Flow, recovery: Recovery) -> None:
        self._flow = flow
        self._recovery = recovery

    @property
    def stream_id(self) -> str:
        """The stream's name on the server, by which it is found in the verdict log."""
        return self._flow.settings.stream_id

    @property
    def n_taken(self) -> int:
        """Vectors taken from the iterable so far."""
        return self._flow.n_taken

    @property
    def n_accepted(self) -> int:
        """Vectors that the server is known to have accepted."""
        return self._flow.n_accepted

    @property
    def n_recorded(self) -> int:
        """Answers known to be in the server's verdict log, from the first on; 0 where it keeps none."""
        return self._flow.n_recorded

    @property
    def n_resumed(self) -> int:
        """How often the stream broke and went on."""
        return self._recovery.n_resumed


class AnswerStream(Progress):
    """Yields the answers of a stream in order. Closing it, or leaving its ``with``, ends the stream."""

    def __init__(self, answers: Generator[Answer], flow: Flow, recovery: Recovery) -> None:
        super().__init__(flow, recovery)
        self._answers = answers

    def __iter__(self) -> Generator[Answer]:
        return self._answers

    def __next__(self) -> Answer:
        return next(self._answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; what has no answer yet gets none."""
        self._answers.close()


class AsyncAnswerStream(Progress):
    """Yields the answers of a stream in order, for asyncio."""

    def __init__(self, answers: AsyncGenerator[Answer], flow: Flow, recovery: Recovery) -> None:
        super().__init__(flow, recovery)
        self._answers = answers

    def __aiter__(self) -> AsyncGenerator[Answer]:
        return self._answers

    async def __anext__(self) -> Answer:
        return await anext(self._answers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; what has no answer yet gets none."""
        await self._answers.aclose()
