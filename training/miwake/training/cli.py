"""``miwake-train``: fit an embedder, evaluate it, list the presets, audit data."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from miwake.indexer.sources.options import DATA_HELP, with_read_options
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(help="Train embedders for inspection vectors.", no_args_is_help=True, add_completion=False)


class Rows(StrEnum):
    """Which rows of a data set an evaluation asks."""

    HELD_OUT = "held-out"
    ALL = "all"


Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]


@app.command()
@with_read_options
def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the embedder artifact; what is in it is replaced.")],
    preset: Annotated[str, typer.Option(help="A name from `miwake-train presets`.")] = "best",
    seed: Annotated[int, typer.Option(help="The same seed on the same machine gives the same embedder.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget; by default it follows from the rows.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="name=value for one setting, as loss.margin=0.3; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, to the weights of an unbroken one.")
    ] = False,
    run_folder: Annotated[
        Path | None, typer.Option(help="Where the run keeps its log and checkpoint; by default OUT.run.")
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints: what an interruption may cost.")
    ] = 20.0,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's files too.")] = False,
    *,
    reading: ReadSettings,
) -> None:
    """Fit an embedder to the training rows of DATA and write it to a folder."""
    _wait_without_spinning()
    with _errors_as_one_line():
        from miwake.training import presets, run  # noqa: PLC0415
        from miwake.training.progress import shown_on  # noqa: PLC0415

        given = [*(overrides or ()), *(() if steps is None else (f"steps={steps}",))]
        chosen = presets.preset(preset, given)
        folder = out.with_name(f"{out.name}.run") if run_folder is None else run_folder
        keeping = run.Keeping(folder=folder, resume=resume, tensorboard=tensorboard, every_s=checkpoint_every)
        console = Console(stderr=True, soft_wrap=True)
        with shown_on(console) as report:
            card = run.train(data, out, chosen, reading=reading, seed=seed, keeping=keeping, report=report, warn=_warn)
        print(f"{out}: embedder {card.embedder_id}, preset {card.preset}, step {card.metrics['best_step']}")


@app.command()
@with_read_options
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The embedder artifact.")],
    data: Data,
    rows: Annotated[
        Rows, typer.Option(help="all: each row against the others that are not of its part.")
    ] = Rows.HELD_OUT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[Path | None, typer.Option(help="File that the JSON object is written to as well.")] = None,
    *,
    reading: ReadSettings,
) -> None:
    """Evaluate an embedder on rows of DATA that it was not fitted on.

    Accuracy, escapes and overkills of every way to a label; 1:1 and 1:N by cosine, Euclidean and match distance; how
    well a class is noticed that the references do not have. There the class is left out of the references only: the
    embedder has seen it, and one that it has never seen is harder to notice.
    """
    with _errors_as_one_line():
        from miwake.indexer.embedder import Embedder  # noqa: PLC0415
        from miwake.indexer.sources.reader import read_records  # noqa: PLC0415
        from miwake.indexer.storage.generation import system_errors  # noqa: PLC0415
        from miwake.training.evaluate import evaluate_all, evaluate_held_out  # noqa: PLC0415
        from miwake.training.grids import evaluation_grids  # noqa: PLC0415
        from miwake.training.tables import evaluation_table  # noqa: PLC0415

        records = read_records(data, reading)
        for warning in records.warnings:
            _warn(warning)
        embedder = Embedder.open(folder)
        ask = evaluate_held_out if rows is Rows.HELD_OUT else evaluate_all
        found = ask(embedder, records)
        told = json.dumps(found.to_dict(), allow_nan=False)
        if out is not None:
            with system_errors("no figures were written"):
                out.write_text(f"{told}\n", encoding="utf-8")
        if as_json:
            print(told)
        else:
            Console().print(*map(evaluation_table, evaluation_grids(found)), sep="\n\n")


@app.command()
@with_read_options
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The embedder artifact.")],
    data: Data,
    rows: Annotated[
        Rows, typer.Option(help="all: each row against the others that are not of its part.")
    ] = Rows.HELD_OUT,
    out: Annotated[Path, typer.Option(help="Folder that receives report.html and report-pictures.")] = Path("report"),
    run_folder: Annotated[Path | None, typer.Option(help="Where the run kept its log; by default FOLDER.run.")] = None,
    *,
    reading: ReadSettings,
) -> None:
    """Show on one page what an embedder is worth on rows of DATA that it was not fitted on.

    Everything that `evaluate` tells, with the confusion matrix, ROC and reliability curves, distances of pairs, a map
    of the embeddings, anchors, the worst escapes and overkills, and training curves. The page opens offline.
    """
    with _errors_as_one_line():
        from miwake.indexer.embedder import Embedder  # noqa: PLC0415
        from miwake.indexer.sources.reader import read_records  # noqa: PLC0415
        from miwake.indexer.threads import pin_threads  # noqa: PLC0415
        from miwake.training.evaluate import examine_all, examine_held_out  # noqa: PLC0415
        from miwake.training.report.writing import make_report, write_report  # noqa: PLC0415

        pin_threads()
        embedder = Embedder.open(folder)
        records = read_records(data, reading)
        for warning in records.warnings:
            _warn(warning)
        examined = (examine_held_out if rows is Rows.HELD_OUT else examine_all)(embedder, records)
        made = make_report(
            examined,
            embedder,
            run_folder=folder.with_name(f"{folder.name}.run") if run_folder is None else run_folder,
            rows=rows.value,
            command=shlex.join(["miwake-train", *sys.argv[1:]]),
        )
        print(f"written to {write_report(out, made)}, with {len(made.pictures)} pictures beside it")


@app.command()
def presets() -> None:
    """List the presets: what each is and where it comes from."""
    from miwake.training.presets import DEFAULT_PRESET, PRESETS  # noqa: PLC0415
    from miwake.training.tables import preset_table  # noqa: PLC0415

    Console().print(preset_table(PRESETS.values(), DEFAULT_PRESET))


@app.command()
@with_read_options
def audit(
    data: Data,
    embedder: Annotated[Path | None, typer.Option(help="An embedder artifact whose neighbours are asked, too.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that receives audit.html and audit.csv.")] = Path("audit"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    *,
    reading: ReadSettings,
) -> None:
    """List records of DATA that somebody should look at: wrong labels, repeats, outliers, leaks, empty vectors."""
    with _errors_as_one_line():
        from miwake.indexer.embedder import Embedder  # noqa: PLC0415
        from miwake.indexer.threads import pin_threads  # noqa: PLC0415
        from miwake.training.audit.auditing import audit_source  # noqa: PLC0415
        from miwake.training.audit.showing import audit_lines, audit_table  # noqa: PLC0415
        from miwake.training.audit.writing import write_audit  # noqa: PLC0415

        pin_threads()
        asked = None if embedder is None else Embedder.open(embedder)
        found, records = audit_source(data, reading, asked, warn=_warn)
        paths = write_audit(out, found, records)
        if as_json:
            print(json.dumps(found.to_dict(), allow_nan=False))
            return
        Console().print(audit_table(found))
        for line in (*audit_lines(found), f"written to {paths[0]} and {paths[1]}"):
            print(line)


@app.command()
@with_read_options
def ablate(
    data: Annotated[list[str], typer.Argument(metavar="DATA…", help=f"One or more. {DATA_HELP}")],
    arms: Annotated[
        list[str], typer.Option("--arm", help="[NAME=]PRESET[,setting=value…]; the first is the baseline.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the cells and of ablation.json, .csv and .md.")],
    seeds: Annotated[int, typer.Option(min=1, help="So many, from 0.")] = 3,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget of every arm; by default its own.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="name=value for one setting of every arm; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side, each with one thread.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    *,
    reading: ReadSettings,
) -> None:
    """Fit presets to data with several seeds and tell by how much they differ, with paired intervals.

    A cell that is finished stays: the same command goes on after an interruption, and another one that asks for some of
    the same settings, data and seeds takes what is there.
    """
    _wait_without_spinning()
    with _errors_as_one_line():
        from miwake.indexer.threads import pin_threads  # noqa: PLC0415
        from miwake.training.ablation import comparing, running, telling  # noqa: PLC0415
        from miwake.training.ablation.arms import arms_of  # noqa: PLC0415

        common = ["threads=1", *(overrides or ()), *(() if steps is None else (f"steps={steps}",))]
        chosen = arms_of(arms, common)
        places = running.places_of(data, chosen, seeds, out, reading=reading, warn=_warn)
        pin_threads()
        progress = running.Progress(places, tell=lambda line: print(line, file=sys.stderr))
        found = comparing.compare(running.run(places, n_jobs=jobs, report=progress))
        paths = telling.write_ablation(out, found)
        if as_json:
            print(telling.json_text(found), end="")
            return
        Console().print(*telling.tables(found), sep="\n\n")
        print(f"written to {', '.join(str(path) for path in paths)}")


def _wait_without_spinning() -> None:
    """Let PyTorch's threads sleep while they wait for each other; it is read when PyTorch is loaded.

    They spin by default, which on a busy machine keeps the one they wait for from running: 27 times slower, measured
    with two threads on two cores at a load of 7.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def _errors_as_one_line() -> Iterator[None]:
    from miwake.indexer.errors import IndexerError  # noqa: PLC0415
    from miwake.training.errors import TrainingError  # noqa: PLC0415

    try:
        yield
    except (IndexerError, TrainingError) as error:
        print(f"miwake-train: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
