"""Evidence that stays bytes until somebody looks at it.

Making arrays of the neighbours and anchors of an answer takes longer than everything else that the client does with it,
and a line that only acts on the decision never looks. The bytes are a copy of the evidence alone, a kilobyte: an answer
that is kept does not keep the whole message that it came in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Unread:
    """Base of a dataclass whose fields may be read later, all of them when the first is looked at."""

    __slots__ = ("_read",)

    @classmethod
    def unread(cls, read: Callable[[], tuple[Any, ...]]) -> Self:
        """Return an object whose fields, in their order, are what ``read`` will return."""
        made = object.__new__(cls)
        object.__setattr__(made, "_read", read)
        return made

    if not TYPE_CHECKING:  # a type checker would take it that every attribute exists

        def __getattr__(self, name: str) -> Any:
            """Read the fields; called for what has not been set."""
            if name not in type(self).__dataclass_fields__:
                message = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(message)
            # Another thread may have read them meanwhile: it takes the function away after it has set all fields.
            if (read := self._read) is not None:
                for field, value in zip(type(self).__dataclass_fields__, read(), strict=True):
                    object.__setattr__(self, field, value)
                object.__setattr__(self, "_read", None)
            return object.__getattribute__(self, name)
