"""Everything the server raises of its own; what the index raises is ``miwake.indexer.errors``.

::

    ServerError
    ├── SettingsError                    the settings cannot be used as they are
    ├── AddressError                     the address cannot be listened on
    ├── CredentialsError                 a certificate, key or token file cannot be used
    ├── WorkerError                      a worker process cannot serve
    ├── UnauthenticatedError             a caller does not say who it is
    ├── RequestError (ValueError)        a whole request is refused
    ├── UnknownStationError (LookupError) no station of that name is served
    ├── UnknownGenerationError (LookupError) the station answers with another generation
    ├── MissingGenerationError (LookupError) the station has no such generation
    ├── UnusableGenerationError          the station has it, and it cannot be opened
    ├── StreamTakenOverError             another call has taken the stream up
    ├── UnknownOperationError (LookupError) there is no rebuild of that name
    ├── UnknownMethodError (LookupError) there is no such rpc
    ├── BusyStationError                 a rebuild of the station is under way
    ├── IndexNotLoadedError              the stations are still being loaded
    ├── StoppingError                    the server is stopping and takes nothing new
    ├── OverloadedError                  a bound is reached: later, perhaps
    ├── DeadlineError (TimeoutError)     the caller's deadline passed before its answer
    └── VerdictLogError                  a verdict log cannot be read, or not be written elsewhere

They know nothing of gRPC: ``status.py`` says which status each becomes.
"""


class ServerError(Exception):
    """Base of all errors of this package."""


class SettingsError(ServerError):
    """The settings cannot be used as they are."""


class AddressError(ServerError):
    """The address cannot be listened on: it is taken, or it is not a loopback address."""


class CredentialsError(ServerError):
    """A certificate, key or token file cannot be used; the message names the file."""


class WorkerError(ServerError):
    """A worker process cannot serve; the message is its own."""


class UnauthenticatedError(ServerError):
    """A caller shows no token, or none that is known here."""


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


class MissingGenerationError(ServerError, LookupError):
    """The station has no generation of that name, neither current nor kept."""

    def __init__(self, generation: str, *, station: str) -> None:
        super().__init__(f"station {station!r} has no generation {generation!r}")
        self.generation = generation
        self.station = station


class UnusableGenerationError(ServerError):
    """The station has the generation that is named, and it cannot be opened."""

    def __init__(self, generation: str, *, station: str, problem: str) -> None:
        super().__init__(f"generation {generation!r} of station {station!r} cannot be opened: {problem}")
        self.generation = generation
        self.station = station
        self.problem = problem


class StreamTakenOverError(ServerError):
    """Another call has taken the stream up: this one ends."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(f"another call has taken up stream {stream_id!r}")
        self.stream_id = stream_id


class UnknownOperationError(ServerError, LookupError):
    """There is no rebuild of that name, or it has been over for long."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no operation {name!r} here")
        self.name = name


class UnknownMethodError(ServerError, LookupError):
    """There is no such rpc."""

    def __init__(self, method: str) -> None:
        super().__init__(f"no method {method} here")
        self.method = method


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


class VerdictLogError(ServerError):
    """A verdict log cannot be read, or what was read cannot be written."""
