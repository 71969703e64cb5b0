"""Everything the indexer raises.

::

    IndexerError
    ├── DataError (ValueError)          a data set cannot be used as it is
    ├── InvalidVectorError (ValueError) a batch of vectors has the wrong shape
    ├── FilterError (ValueError)        a filter cannot be what it should
    ├── SearchOptionsError (ValueError) an option of a search is outside its bounds
    ├── EmbedderError                   an embedder artifact cannot be used
    ├── StoreError                      the store of a station cannot be used
    │   ├── StationNotFoundError        there is no such station, or nothing published in it
    │   ├── StoreBusyError              another process holds the store's lock
    │   ├── NoRoomError                 the disk has not the room that a generation needs
    │   ├── ReferenceNotFoundError      there is no reference of that id
    │   └── ReferenceConflictError      an id stands for another vector or label already
    ├── ArtifactError                   a stored file cannot be used
    │   ├── ArtifactCorruptError        a file is missing, or its bytes are not those that were written
    │   └── ArtifactVersionError        a file has a format version that this release does not know
    ├── IndexBuildError                 an index of some kind cannot be built, or agrees too little with exact search
    └── CalibrationError                the data cannot show what calibration must know
        ├── PromiseError                the data cannot show what is to be promised
        ├── PairsNotCalibratedError     a generation was built without what pairs are verified with
        └── RateNotShownError           calibration did not show a rate of false accepts

Every message names the item and says what was expected and what came.
"""


class IndexerError(Exception):
    """Base of all errors of this package."""


class DataError(IndexerError, ValueError):
    """A data set cannot be used as it is: something is wrong, missing, refused or contradictory."""


class InvalidVectorError(IndexerError, ValueError):
    """A batch of vectors has the wrong shape."""

    def __init__(self, *, expected: str, actual: tuple[int, ...]) -> None:
        super().__init__(f"vectors of shape {actual}, expected {expected}")
        self.expected = expected
        self.actual = actual


class FilterError(IndexerError, ValueError):
    """A filter cannot be what it should: a field, a value, its depth or its size."""


class SearchOptionsError(IndexerError, ValueError):
    """An option of a search is outside its bounds; ``option`` names it."""

    def __init__(self, *, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option = option
        self.problem = problem


class EmbedderError(IndexerError):
    """An embedder artifact cannot be used, or does not fit the data."""


class StoreError(IndexerError):
    """The store of a station cannot be used."""


class StationNotFoundError(StoreError):
    """There is no such station, or nothing has been published in it."""


class StoreBusyError(StoreError):
    """Another process holds the store's lock."""


class NoRoomError(StoreError):
    """The disk has not the room that a generation needs; ``needed`` and ``free`` are in bytes."""

    def __init__(self, path: object, *, needed: int, free: int) -> None:
        message = f"{path}: a generation needs about {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free"
        super().__init__(f"{message}; nothing was published")
        self.needed = needed
        self.free = free


class ReferenceNotFoundError(StoreError):
    """There is no reference of that id."""

    def __init__(self, reference_id: str, *, station: str) -> None:
        super().__init__(f"{station}: no reference {reference_id!r}")
        self.reference_id = reference_id
        self.station = station


class ReferenceConflictError(StoreError):
    """An id stands for another vector or label already."""


class ArtifactError(IndexerError):
    """A stored file cannot be used."""


class ArtifactCorruptError(ArtifactError):
    """A file is missing, or its bytes are not those that were written."""


class ArtifactVersionError(ArtifactError):
    """A file has a format version that this release does not know."""


class IndexBuildError(IndexerError):
    """An index of some kind cannot be built, or agrees too little with exact search."""


class CalibrationError(IndexerError):
    """The data cannot show what calibration must know."""


class PromiseError(CalibrationError):
    """The data cannot show what is to be promised; the message says what they can, and what it would take."""


class PairsNotCalibratedError(CalibrationError):
    """A generation was built without what pairs are verified with."""

    def __init__(self, *, station: str, generation: str) -> None:
        super().__init__(
            f"{station}: generation {generation} was built without thresholds for pairs, which a build of two classes "
            f"or more by this release makes: miwake-index rebuild --store STORE --station {station}"
        )
        self.station = station
        self.generation = generation


class RateNotShownError(CalibrationError):
    """Calibration did not show that so few pairs of different classes are taken for the same."""

    def __init__(self, rate: float, *, shown: tuple[float, ...], n_parts: int) -> None:
        can_be = f"what is shown is {', '.join(f'{one:g}' for one in shown)}" if shown else "none is"
        super().__init__(f"a false-accept rate of {rate:g} is not shown by {n_parts} calibration parts: {can_be}")
        self.rate = rate
        self.shown = shown
        self.n_parts = n_parts
