"""The steps of a demonstration: train, build, serve, stream, draw, report, summarise."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from demonstration import folder, streaming, summary
from demonstration.gallery import Gallery
from demonstration.processes import Step, StepError, run_step, running_server
from miwake.indexer.embedder import read_card
from miwake.indexer.errors import IndexerError
from miwake.indexer.opening import open_index
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split

if TYPE_CHECKING:
    from rich.console import Console

    from demonstration.cases import Answered
    from demonstration.streaming import Streamed
    from miwake.indexer.records import Records

STATION = "demo"
SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to demonstrate.

    Attributes
    ----------
    data : text
        As ``miwake-train`` and ``miwake-index`` take it.
    folder : Path
        What is written goes there; what an earlier demonstration wrote there is removed first.
    preset : text or None
        Of ``miwake-train``; None for its default.
    steps : int or None
        Training budget; None for the preset's.
    overrides : tuple of text
        ``name=value`` for single settings of the preset.
    seed : int
    """

    data: str = SYNTHETIC
    folder: Path = Path("demo")
    preset: str | None = None
    steps: int | None = None
    overrides: tuple[str, ...] = ()
    seed: int = 0

    @property
    def is_synthetic(self) -> bool:
        """Whether the data are the built-in ones."""
        return self.data == SYNTHETIC or self.data.startswith(f"{SYNTHETIC}:")


def run(settings: Settings, console: Console) -> dict[str, Any]:
    """Run every step and return the summary, which is written last, once everything has succeeded.

    Raises
    ------
    StepError
        If a step fails; the folder then holds no summary.
    """
    begin = time.perf_counter()
    folder.claim(settings.folder)
    training, held_out = _read(settings, console)
    seconds = {"train": _train(settings, console), "build": _build(settings, console)}
    streamed = _serve_and_stream(settings, held_out, console, seconds)
    streaming.check(streamed, training)
    _say(console, "drawing", f"into {settings.folder / 'pictures'}")
    drawing = time.perf_counter()
    answered = _draw(settings, training, held_out, streamed)
    seconds["pictures"] = time.perf_counter() - drawing
    seconds["report"] = _report(settings, console)
    seconds["total"] = time.perf_counter() - begin
    preset = read_card(settings.folder / "embedder").preset
    setting = summary.Setting(data=settings.data, is_synthetic=settings.is_synthetic, preset=preset)
    found = summary.summarise(setting, held_out, streamed, answered, seconds)
    summary.write(settings.folder / "summary.json", found)
    return found


def _read(settings: Settings, console: Console) -> tuple[Records, Records]:
    _say(console, "reading", settings.data)
    if settings.is_synthetic:
        _say(console, "  the built-in SYNTHETIC data:", "their figures say nothing about a real line")
    try:
        training, held_out = held_out_split(read_records(settings.data))
    except IndexerError as error:
        raise StepError(Step.READ, str(error)) from error
    if not len(held_out):
        raise StepError(Step.READ, f"{settings.data}: {len(training)} rows and none held out, expected some of both")
    _say(console, "  rows:", f"{len(training):,} to train on, {len(held_out):,} held out")
    return training, held_out


def _train(settings: Settings, console: Console) -> float:
    _say(console, "training", "an embedder")
    command = ["miwake-train", "fit", settings.data, "--out", str(settings.folder / "embedder")]
    command += ["--seed", str(settings.seed)]
    command += ["--preset", settings.preset] if settings.preset else []
    command += ["--steps", str(settings.steps)] if settings.steps else []
    command += [word for override in settings.overrides for word in ("--set", override)]
    return run_step(Step.TRAIN, command)


def _build(settings: Settings, console: Console) -> float:
    _say(console, "building", "the index")
    command = ["miwake-index", "build", settings.data, "--store", str(settings.folder / "store"), "--station", STATION]
    return run_step(Step.BUILD, [*command, "--embedder", str(settings.folder / "embedder")])


def _serve_and_stream(settings: Settings, held_out: Records, console: Console, seconds: dict[str, float]) -> Streamed:
    _say(console, "serving", "it from a process of its own")
    begin = time.perf_counter()
    with running_server(settings.folder / "store", settings.folder / "server.log") as address:
        seconds["start"] = time.perf_counter() - begin
        _say(console, "streaming", f"{len(held_out):,} held-out vectors through {address}")
        streamed = streaming.stream(address, held_out, console)
    seconds["stream"] = streamed.stream_s
    return streamed


def _draw(settings: Settings, training: Records, held_out: Records, streamed: Streamed) -> Answered:
    try:
        index = open_index(settings.folder / "store" / STATION)
    except IndexerError as error:
        raise StepError(Step.DRAW, str(error)) from error
    answered = streaming.columns(streamed, held_out, index.labels, index.pass_labels)
    note = "synthetic data" if settings.is_synthetic else ""
    gallery = Gallery(folder=settings.folder / "pictures", index=index, training=training, held_out=held_out, note=note)
    gallery.draw(answered, dict(streamed.verdicts()))
    return answered


def _report(settings: Settings, console: Console) -> float:
    _say(console, "reporting", f"into {settings.folder / 'report'}")
    command = ["miwake-train", "report", str(settings.folder / "embedder"), settings.data]
    return run_step(Step.REPORT, [*command, "--out", str(settings.folder / "report")])


def _say(console: Console, step: str, what: str) -> None:
    console.print(Text.assemble((step, "bold"), " ", what), soft_wrap=True)
