"""Running a module of the tests as a process of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """Return this process's environment, in which a child finds the modules that this one finds, wherever it starts."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
