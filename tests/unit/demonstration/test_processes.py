from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demonstration.processes import Step, StepError, run_step

PYTHON = Path(sys.executable).name
"""A program that stands beside our commands."""


def test_a_step_tells_how_long_it_took() -> None:
    assert run_step(Step.TRAIN, [PYTHON, "-c", "pass"]) > 0


def test_a_failing_step_is_named_with_its_own_last_line() -> None:
    program = "import sys; sys.exit('reading rows\\n\\x1b[31mrow 7: label is missing\\x1b[0m\\n')"

    with pytest.raises(StepError) as caught:
        run_step(Step.TRAIN, [PYTHON, "-c", program])

    assert str(caught.value) == f"training failed: row 7: label is missing ({PYTHON} ended with status 1)"


def test_a_killed_step_names_the_signal() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    with pytest.raises(StepError, match=r"building the index failed: it said nothing \(.* was ended by SIGKILL\)"):
        run_step(Step.BUILD, [PYTHON, "-c", program])


def test_what_a_step_says_is_passed_on(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run_step(Step.TRAIN, [PYTHON, "-c", "import sys; print('step 1 of 2', file=sys.stderr)"])

    assert b"step 1 of 2\n" in capfdbinary.readouterr().err
