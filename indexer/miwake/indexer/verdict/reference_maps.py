"""What a map can be compared with, by name, and how many must be."""

from __future__ import annotations

from typing import Literal

OfferedMap = Literal["template", "class-mean"]
"""``template``: the golden map of that very place, beside the vector; ``class-mean``: the mean map of the passes."""

ReferenceMapChoice = Literal["auto", "off", "template", "class-mean"]
"""What may be asked for: auto are templates where calibration rows bring enough of them, else class means."""

ReferenceMapName = Literal["none", "template", "class-mean"]
"""What probabilities weigh the residuals against."""

LEAST_ROWS = 20
"""Rejects, and passes, with a reference map: fewer fit no weights."""
