"""What a process is of a server that has several."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a process is of its server.

    Attributes
    ----------
    number : int or None
        Which of the workers; None where the process is all of the server.
    server : text
        The same for all workers of a server, and for no other.
    loads_first : bool
        Whether it listens only once it can answer, as others do meanwhile.
    """

    number: int | None = None
    server: str = field(default_factory=lambda: uuid.uuid4().hex)
    loads_first: bool = False

    @property
    def is_worker(self) -> bool:
        """Whether there are others, and a supervisor."""
        return self.number is not None
