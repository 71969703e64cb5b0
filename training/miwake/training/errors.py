"""Everything that training raises beside the errors of the data (``miwake.indexer.errors``).

::

    TrainingError
    ├── SettingsError (ValueError)      a preset or a setting is unknown, or a value does not fit
    ├── TrainingDataError (ValueError)  the data cannot be trained on
    ├── ExtraMissingError               a library of an optional extra is not there, or does not work here
    ├── DivergedError                   the loss, or a gradient, is no longer a number
    ├── ResumeError                     an interrupted run cannot be gone on with
    ├── ExportError                     the network cannot be handed over
    │   └── ParityError                 ONNX Runtime and PyTorch disagree
    ├── FittedRowsError                 an evaluation was asked for on rows that the embedder was fitted on
    └── AblationError                   a cell of an ablation cannot be measured
"""

N_SHOWN_IDS = 8
"""Rows that a message names; the error holds them all."""


class TrainingError(Exception):
    """Base of all errors of this package."""


class SettingsError(TrainingError, ValueError):
    """A preset or a setting is unknown, or a value does not fit."""


class TrainingDataError(TrainingError, ValueError):
    """The data cannot be trained on: no rows to fit, or one class only."""


class ExtraMissingError(TrainingError):
    """A library of an optional extra is not there, or does not work here."""


class DivergedError(TrainingError):
    """The loss, or a gradient, is no longer a number.

    Attributes
    ----------
    step : int
        The step at which it was noticed, counted from 1; each step has one batch.
    what : text
        ``loss`` or ``length of the gradient``.
    value : float
        What it was.
    row_ids : tuple of text
        The ids of the rows of the batch, in its order.
    """

    def __init__(self, *, step: int, what: str, value: float, lr: float, row_ids: tuple[str, ...]) -> None:
        shown = ", ".join(row_ids[:N_SHOWN_IDS])
        more = f" and {len(row_ids) - N_SHOWN_IDS} more" if len(row_ids) > N_SHOWN_IDS else ""
        super().__init__(
            f"diverged at step {step}: the {what} is {value}, expected a finite number (lr {lr:g}); "
            f"rows of the batch: {shown}{more}"
        )
        self.step = step
        self.what = what
        self.value = value
        self.row_ids = row_ids


class ResumeError(TrainingError):
    """An interrupted run cannot be gone on with: no checkpoint, a damaged one, or one of other data or settings."""


class ExportError(TrainingError):
    """The network cannot be handed over as ONNX."""


class ParityError(ExportError):
    """ONNX Runtime and PyTorch disagree about the embeddings by more than rounding."""

    def __init__(self, *, difference: float, bound: float) -> None:
        super().__init__(f"ONNX Runtime differs from PyTorch by {difference:.2g} of the length, expected <= {bound:g}")
        self.difference = difference
        self.bound = bound


class FittedRowsError(TrainingError):
    """An evaluation was asked for on rows that the embedder was fitted on."""

    def __init__(self, *, source: str, n_fitted: int, n_rows: int, first: str) -> None:
        super().__init__(
            f"{source}: the embedder was fitted on {n_fitted} of the {n_rows} rows, first {first!r}; "
            "expected rows that it has not seen"
        )
        self.n_fitted = n_fitted
        self.n_rows = n_rows
        self.first = first


class AblationError(TrainingError):
    """A cell of an ablation cannot be measured; the ones that are finished are kept."""
