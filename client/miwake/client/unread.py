"""Evidence that is read when somebody looks at it.

Making texts and arrays of the neighbours of an answer takes longer than everything else that the client does with it,
and a line that only acts on the decision never looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Unread:
    """Base of a dataclass whose fields may be read later, all of them when the first is looked at."""

    __slots__ = ("_read",)
    _writers: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        """Keep what writes each field past the frozen class; a dataclass with slots is made anew once it has them."""
        cls._writers = {name: vars(cls)[name].__set__ for name in vars(cls).get("__slots__", ())}

    @classmethod
    def unread(cls, read: Callable[[], tuple[Any, ...]]) -> Self:
        """Return an object whose fields, in their order, are what ``read`` will return."""
        made = object.__new__(cls)
        _set_read(made, read)
        return made

    if not TYPE_CHECKING:  # a type checker would take it that every attribute exists

        def __getattr__(self, name: str) -> Any:
            """Read the fields; called for what has not been set."""
            writers = self._writers
            if name not in writers:
                message = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(message)
            # Another thread may have read them meanwhile: it takes the function away after it has set all fields.
            if (read := self._read) is not None:
                for write, value in zip(writers.values(), read(), strict=True):
                    write(self, value)
                _set_read(self, None)
            return object.__getattribute__(self, name)


_set_read = Unread._read.__set__  # type: ignore[attr-defined] # past the frozen class
