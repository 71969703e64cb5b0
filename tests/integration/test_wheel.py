"""The wheel, installed with no extra into an empty environment. Slow: builds and installs for about half a minute.

It needs the package index that the environment itself was installed from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL_TIMEOUT_S = 300.0

LOOK = """
import importlib.util, json, sys
from importlib.metadata import distributions
import miwake.client
names = ["torch", "faiss", "onnxruntime", "scipy", "sklearn", "pyarrow", "pandas", "numba", "datasets"]
print(json.dumps({
    "found": [name for name in names if importlib.util.find_spec(name)],
    "client": miwake.client.__file__,
    "public": miwake.client.__all__,
    "indexer_is_imported": "miwake.indexer" in sys.modules,
}))
"""


def run(*command: str | Path, timeout_s: float = INSTALL_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(  # noqa: S603 - pip, and what this test has installed
        command, cwd=ROOT.anchor, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def pip(*arguments: str | Path) -> None:
    outcome = run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)
    assert outcome.returncode == 0, outcome.stderr


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of programs of an environment that holds the wheel and what it requires, nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    [wheel] = folder.glob("miwake-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip("--python", python, "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    return python.parent


def test_the_client_needs_nothing_of_the_other_parts(programs: Path) -> None:
    outcome = run(programs / "python", "-c", LOOK)

    assert outcome.returncode == 0, outcome.stderr
    seen = json.loads(outcome.stdout)
    assert seen["found"] == []
    assert seen["client"].startswith(str(programs.parent))
    assert "Client" in seen["public"]
    assert seen["indexer_is_imported"] is False


def test_the_program_of_the_client_runs(programs: Path) -> None:
    outcome = run(programs / "miwake-client", "--help")

    assert outcome.returncode == 0, outcome.stderr
    assert "stream" in outcome.stdout
    assert "query" in outcome.stdout


def test_parquet_without_its_extra_is_explained_in_one_line(programs: Path) -> None:
    outcome = run(programs / "miwake-client", "stream", "parts.parquet")

    assert outcome.returncode == 1
    assert outcome.stderr == (
        "miwake-client: parts.parquet: Parquet files need pyarrow: pip install 'miwake[parquet]'\n"
    )
