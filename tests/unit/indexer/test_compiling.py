from __future__ import annotations

from types import FunctionType

import numba
import pytest

from miwake.indexer.compiling import compile_loop

SIGNATURE = numba.types.float64(numba.types.float64)


def twice(number: float) -> float:
    return 2.0 * number


def from_nowhere() -> FunctionType:
    """Return a function of no file, beside which numba could keep what it compiles."""
    return FunctionType(twice.__code__.replace(co_filename="<nowhere>"), globals(), "twice")


@pytest.mark.parametrize("function", [twice, from_nowhere()])
def test_a_loop_is_compiled_wherever_it_can_be_kept_and_where_it_cannot(function: FunctionType) -> None:
    compiled = compile_loop(function, SIGNATURE)

    assert compiled(1.5) == 3.0


def test_another_signature_is_not_compiled_while_serving() -> None:
    with pytest.raises(TypeError, match="No matching definition"):
        compile_loop(twice, SIGNATURE)("text")
