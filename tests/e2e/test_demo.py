"""``make demo``, small: the real commands, a real server, and the README's examples against what it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demonstration.processes import StepError, running_server
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split

ROOT = Path(__file__).parents[2]
DATA = "synthetic:parts=120"
README_ADDRESS = "127.0.0.1:50051"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "COLUMNS": "120"}

pytestmark = pytest.mark.timeout(300)


def demonstrate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demonstration", "--folder", str(folder), *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)  # noqa: S603


def is_listening(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def kill_server_of(store: Path) -> None:
    """Kill the one child of this process that serves the store; other tests have servers of their own."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    [server] = [child for child in children if str(store) in Path(f"/proc/{child}/cmdline").read_text()]
    os.kill(int(server), signal.SIGKILL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demonstration") / "demo"


@pytest.fixture(scope="module")
def finished(folder: Path) -> subprocess.CompletedProcess[str]:
    return demonstrate(
        folder,
        "--data",
        DATA,
        "--steps",
        "300",
        "--set",
        "batch_size=64",
        "--set",
        "averaging=0.9",
        "--set",
        "threads=1",
    )


@pytest.fixture(scope="module")
def summary(finished: subprocess.CompletedProcess[str], folder: Path) -> dict[str, Any]:
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return found


def test_every_held_out_vector_is_answered_through_the_server(summary: dict[str, Any]) -> None:
    _, held_out = held_out_split(read_records(DATA))

    assert summary["held_out"] == summary["answered"] == len(held_out)
    assert summary["errors"] == 0
    assert sum(summary["decisions"].values()) == len(held_out)


def test_the_figures_are_plausible(summary: dict[str, Any]) -> None:
    assert 0.3 < summary["accuracy"] <= 1
    assert 0 < summary["balanced_accuracy"] <= 1
    assert 0 <= summary["escape_rate"] < 0.5
    assert 0 <= summary["overkill_rate"] < 0.5
    assert set(summary["decisions"]) == {"PASS", "REJECT", "REVIEW", "UNKNOWN"}
    assert summary["vectors_per_second"] > 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    assert summary["seconds"]["train"] > 0
    assert summary["seconds"]["build"] > 0


def test_the_summary_names_what_answered(summary: dict[str, Any], folder: Path) -> None:
    assert summary["generation"] == "g000001"
    assert (folder / "store" / "demo" / "embedders" / summary["embedder"]).is_dir()
    assert summary["preset"] == "best"


def test_unknown_kinds_stand_beside_the_accuracy(summary: dict[str, Any]) -> None:
    assert summary["unknown_kinds"]["n"] > 0
    assert summary["n"]["known"] + summary["unknown_kinds"]["n"] == summary["held_out"]


def test_synthetic_data_are_called_so(summary: dict[str, Any], finished: subprocess.CompletedProcess[str]) -> None:
    assert summary["data"] == DATA
    assert summary["is_synthetic"] is True
    assert "SYNTHETIC" in finished.stdout
    assert "SYNTHETIC" in finished.stderr


@pytest.mark.usefixtures("summary")
def test_there_is_a_report_on_the_embedder(folder: Path) -> None:
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")

    assert "The worst answers" in text
    assert (folder / "report" / "report-pictures" / "training.png").is_file()


@pytest.mark.usefixtures("summary")
def test_there_are_pictures_of_answers_and_a_confusion_matrix(folder: Path) -> None:
    pictures = sorted((folder / "pictures").iterdir())

    assert {"confusion.png", "right-1.png"} <= {path.name for path in pictures}
    for path in pictures:
        with Image.open(path) as picture:
            picture.verify()
            assert (picture.format, picture.width >= 700, picture.height >= 400) == ("PNG", True, True)


@pytest.mark.usefixtures("summary")
@pytest.mark.parametrize(
    "code",
    re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL),
)
def test_the_examples_of_the_readme_run(code: str, folder: Path, tmp_path: Path) -> None:
    _, held_out = held_out_split(read_records(DATA))
    np.save(tmp_path / "vectors.npy", held_out.vectors[:5])

    with running_server(folder / "store", tmp_path / "server.log") as address:
        ran = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code.replace(README_ADDRESS, address)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) >= 3


@pytest.mark.usefixtures("summary")
def test_the_server_is_stopped_when_the_caller_fails(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), running_server(folder / "store", tmp_path / "server.log") as address:
        raise ZeroDivisionError

    assert not is_listening(address)


@pytest.mark.usefixtures("summary")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_server_is_stopped_when_the_caller_is_interrupted(
    ending: signal.Signals, folder: Path, tmp_path: Path
) -> None:
    program = (
        "import pathlib, sys\n"
        "from demonstration.processes import leave_on_signals, running_server\n"
        "leave_on_signals()\n"
        "with running_server(*map(pathlib.Path, sys.argv[1:])) as address:\n"
        "    print(address, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(folder / "store"), str(tmp_path / "server.log")]

    with subprocess.Popen(  # noqa: S603
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as caller:
        assert caller.stdout is not None
        address = caller.stdout.readline().strip()
        was_listening = is_listening(address)
        caller.send_signal(ending)

    assert was_listening
    assert not is_listening(address)


def test_a_server_that_cannot_start_is_told_with_its_own_message(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()

    with (
        pytest.raises(StepError, match=r"serving failed: .*miwake-serve: .*store: no station in it"),
        running_server(tmp_path / "store", tmp_path / "server.log"),
    ):
        pass


@pytest.mark.usefixtures("summary")
def test_a_server_that_ends_on_its_own_is_told(folder: Path, tmp_path: Path) -> None:
    ended = "serving failed: miwake-serve was ended by SIGKILL"

    with pytest.raises(StepError, match=ended), running_server(folder / "store", tmp_path / "server.log"):
        kill_server_of(folder / "store")


def test_a_failing_step_is_named_and_leaves_no_old_summary(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / ".made-by-miwake-demo").touch()
    (tmp_path / "demo" / "summary.json").write_text("{}")

    failed = demonstrate(tmp_path / "demo", "--data", "no-such-file.parquet")

    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("demo: reading the data failed: no-such-file.parquet")
    assert not (tmp_path / "demo" / "summary.json").exists()


def test_a_failing_command_is_named_with_its_own_message(tmp_path: Path) -> None:
    failed = demonstrate(tmp_path / "demo", "--data", DATA, "--preset", "no-such-preset")

    assert failed.returncode == 1
    assert re.fullmatch(
        r"demo: training failed: miwake-train: .*no-such-preset.* \(miwake-train ended with status 1\)",
        failed.stderr.splitlines()[-1],
    )


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    failed = demonstrate(tmp_path, "--data", DATA)

    assert failed.returncode == 1
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
