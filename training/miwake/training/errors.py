"""Everything that training raises beside the errors of the data (``miwake.indexer.errors``).

::

    TrainingError
    ├── SettingsError (ValueError)      a preset or a setting is unknown, or a value does not fit
    ├── TrainingDataError (ValueError)  the data cannot be trained on
    ├── DivergedError                   the loss is no longer a number
    ├── ExportError                     the network cannot be handed over
    │   └── ParityError                 ONNX Runtime and PyTorch disagree
    └── FittedRowsError                 an evaluation was asked for on rows that the embedder was fitted on
"""


class TrainingError(Exception):
    """Base of all errors of this package."""


class SettingsError(TrainingError, ValueError):
    """A preset or a setting is unknown, or a value does not fit."""


class TrainingDataError(TrainingError, ValueError):
    """The data cannot be trained on: no rows to fit, or one class only."""


class DivergedError(TrainingError):
    """The loss is no longer a number.

    Attributes
    ----------
    step : int
        The step at which it was noticed, counted from 1.
    loss : float
        What it was.
    """

    def __init__(self, *, step: int, loss: float, lr: float) -> None:
        super().__init__(f"diverged at step {step}: the loss is {loss}, expected a finite number (lr {lr:g})")
        self.step = step
        self.loss = loss


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
