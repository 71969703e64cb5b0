"""What SOART3 must say: cases worked out by hand, and the golden ones where they lie beside the test data."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Soart3Case:
    """One query, one reference, two powers, and what beta, eta and gamma are."""

    name: str
    p_eta: int
    p_gamma: int
    query: tuple[float, ...]
    reference: tuple[float, ...]
    beta: float
    eta: float
    gamma: float


HAND_CASES = [
    # A zero reference leaves the query itself as the residual, with beta = 1e-4 / 1e-4.
    # m = 5, v = (3^6 + 4^6)^(1/6) = 4825^(1/6): ln 6 and ln 6 - ln(1 + v).
    Soart3Case("nothing explained", 2, 6, (3, 4), (0, 0), 1.0, 1.791759469228055, 0.16042227948067896),
    # m = 7, v = 337^(1/4).
    Soart3Case("nothing explained", 1, 4, (3, 4), (0, 0), 1.0, 2.0794415416798357, 0.4146498537396211),
    # m = 91^(1/3), v = (3^8 + 4^8)^(1/8).
    Soart3Case("nothing explained, one negative", 3, 8, (3, -4), (0, 0), 1.0, 1.7043737394999843, 0.08538319223805424),
    # The powers exchanged: gamma changes its sign.
    Soart3Case("powers exchanged", 6, 2, (3, 4), (0, 0), 1.0, 1.631337189747376, -0.16042227948067896),
    # m = 2, v = 4^(1/6).
    Soart3Case("spread evenly", 2, 6, (1, 1, 1, 1), (0, 0, 0, 0), 1.0, 1.0986122886681098, 0.28328240966894510),
    # m = v = 7.
    Soart3Case("all in one cell", 2, 6, (0, 7, 0), (0, 0, 0), 1.0, 2.0794415416798357, 0.0),
    # beta = 4.0001 / 2.0001, residuals 1.00005 and -0.99995.
    Soart3Case("halfway", 2, 6, (3, 1), (1, 1), 1.9999500024998750, 0.8813735877517028, 0.12879682605840583),
    Soart3Case("halfway", 1, 4, (3, 1), (1, 1), 1.9999500024998750, 1.0986122886681098, 0.31507285630199595),
    Soart3Case("halfway", 5, 7, (3, 1), (1, 1), 1.9999500024998750, 0.7648622451934277, 0.02097940276606354),
    Soart3Case("itself", 2, 6, (0.5, -2, 3), (0.5, -2, 3), 1.0, 0.0, 0.0),
    Soart3Case("nothing at all", 2, 6, (0, 0), (0, 0), 1.0, 0.0, 0.0),
]


def golden_path() -> Path:
    """Return where the golden cases are expected: beside the folder that ``MIWAKE_TEST_DATA`` names."""
    data = Path(os.environ.get("MIWAKE_TEST_DATA") or ROOT.parent / "shared" / "data")
    return data.parent / "golden" / "soart3.json"


def all_cases() -> list[Any]:
    """Return parameters for pytest: the cases by hand and the golden ones, or one skipped that says what is missing."""
    cases = [pytest.param(case, id=f"by hand: {case.name}, p {case.p_eta} {case.p_gamma}") for case in HAND_CASES]
    path = golden_path()
    if not path.is_file():
        reason = "no golden/soart3.json beside the folder that MIWAKE_TEST_DATA names"
        return [*cases, pytest.param(None, id="golden", marks=pytest.mark.skip(reason=reason))]
    for entry in json.loads(path.read_text(encoding="utf-8"))["cases"]:
        query, reference = tuple(entry.pop("query")), tuple(entry.pop("reference"))
        case = Soart3Case(query=query, reference=reference, **entry)
        cases.append(pytest.param(case, id=f"golden: {case.name}, p {case.p_eta} {case.p_gamma}"))
    return cases
