"""Everything the server raises of its own; what the index raises is ``miwake.indexer.errors``.

::

    ServerError
    ├── SettingsError                    the settings cannot be used as they are
    ├── AddressError                     the address cannot be listened on
    ├── RequestError (ValueError)        a whole request is refused
    ├── UnknownStationError (LookupError) no station of that name is served
    ├── UnknownGenerationError (LookupError) the station answers with another generation
    ├── UnknownOperationError (LookupError) there is no rebuild of that name
    ├── BusyStationError                 a rebuild of the station is under way
    ├── IndexNotLoadedError              the stations are still being loaded
    ├── StoppingError                    the server is stopping and takes nothing new
    ├── OverloadedError                  a bound is reached: later, perhaps
    └── DeadlineError (TimeoutError)     the caller's deadline passed before its answer

They know nothing of gRPC: ``status.py`` says which status each becomes.
"""


class ServerError(Exception):
    """Base of all errors of this package."""


class SettingsError(ServerError):
    """The settings cannot be used as they are."""


class AddressError(ServerError):
    """The address cannot be listened on: it is taken, or it is not a loopback address."""


class RequestError(ServerError, ValueError):
    """A whole request is refused; ``field`` names what is wrong in it."""

    def __init__(self, *, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnknownStationError(ServerError, LookupError):
    """No station of that name is served."""

    def __init__(self, station: str, *, served: tuple[str, ...]) -> None:
        super().__init__(f"no station {station!r} here, expected one of {', '.join(served)}")
        self.station = station
        self.served = served


class UnknownGenerationError(ServerError, LookupError):
    """The station answers with another generation than the one that is named."""

    def __init__(self, generation: str, *, station: str, served: str) -> None:
        super().__init__(f"station {station!r} answers with generation {served}, not with {generation!r}")
        self.generation = generation
        self.station = station
        self.served = served


class UnknownOperationError(ServerError, LookupError):
    """There is no rebuild of that name, or it has been over for long."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no operation {name!r} here")
        self.name = name


class BusyStationError(ServerError):
    """A rebuild of the station is under way."""

    def __init__(self, station: str, *, operation: str) -> None:
        super().__init__(f"station {station!r} is being rebuilt already, by operation {operation!r}")
        self.station = station
        self.operation = operation


class IndexNotLoadedError(ServerError):
    """The stations are still being loaded."""

    def __init__(self) -> None:
        super().__init__("the stations are still being loaded")


class StoppingError(ServerError):
    """The server is stopping and takes nothing new."""

    def __init__(self) -> None:
        super().__init__("the server is stopping")


class OverloadedError(ServerError):
    """A bound is reached; ``retry_after_s`` says when to try again."""

    def __init__(self, *, what: str, limit: int, retry_after_s: float) -> None:
        super().__init__(f"the limit of {limit} {what} is reached: try again in {retry_after_s:g} s")
        self.what = what
        self.limit = limit
        self.retry_after_s = retry_after_s


class DeadlineError(ServerError, TimeoutError):
    """The caller's deadline passed before its answer was there."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before the answer was there")
