"""How a data set is to be read: column names, scale, and what happens to bad rows."""

from __future__ import annotations

from dataclasses import dataclass, fields

DEFAULT_FAILURE_MODE_COLUMNS = ("failure_mode", "fmode")
"""Tried in this order where no failure-mode column is named; ``fmode`` is the word of the source tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """Names of columns and what the data do not say about themselves.

    A column that is named here and not there is an error, unless it is the default name; the empty text means
    *do not read it*.

    Attributes
    ----------
    label_column, part_column, group_column, split_column, id_column, time_column : text
    failure_mode_column : text or None
        None takes ``failure_mode``, else ``fmode``.
    vector_column_prefix : text
        ``data`` stands for ``data0``, ``data1``, … without gaps.
    heat_map_shape : (rows, columns) or None
        None takes what the data say, else the default where V fits it, else the square root of V.
    pass_labels : tuple of int, or None
        Labels that mean *pass*; None takes what the data say, else 0 where there is such a label.
    value_range : (low, high) or None
        The scale of the values; None takes what the data say.
    flatness : float or None
        Least spread of a vector, as a share of the value range; 0 refuses only vectors without any spread, None takes
        the default of ``Scale``.
    skip_bad_rows : bool
        Drop and report rows that cannot be used, instead of failing.
    is_labelled : bool
        Whether labels are read; without, every label is 0 and means nothing, and no failure mode is read.
    """

    label_column: str = "label"
    failure_mode_column: str | None = None
    part_column: str = "part"
    group_column: str = "group"
    split_column: str = "split"
    id_column: str = "id"
    time_column: str = "time"
    vector_column_prefix: str = "data"
    heat_map_shape: tuple[int, int] | None = None
    pass_labels: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    flatness: float | None = None
    skip_bad_rows: bool = False
    is_labelled: bool = True

    def text_columns(self) -> dict[str, tuple[str, ...]]:
        """Return, for each text field of a record, the column names to look for, the first found wins."""
        mode = self.failure_mode_column
        named = {
            "failure_mode": () if not self.is_labelled else DEFAULT_FAILURE_MODE_COLUMNS if mode is None else (mode,),
            "part": (self.part_column,),
            "group": (self.group_column,),
            "split": (self.split_column,),
            "id": (self.id_column,),
            "time": (self.time_column,),
        }
        return {name: tuple(column for column in columns if column) for name, columns in named.items()}

    def is_required(self, field: str) -> bool:
        """Return whether the column of a text field was named by the caller, and so must be there."""
        column = getattr(self, f"{field}_column")
        return bool(column) and column != _DEFAULTS[f"{field}_column"]


_DEFAULTS = {field.name: field.default for field in fields(ReadSettings)}
