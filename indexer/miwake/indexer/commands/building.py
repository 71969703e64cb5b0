"""Building: ``build`` and ``rebuild``."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miwake.indexer.commands.options import (
    AddedRows,
    Anchors,
    AnchorsPerClass,
    AsJson,
    BuildRows,
    Candidates,
    Data,
    IndexKind,
    Keep,
    KeptAnchors,
    KeptAnchorsPerClass,
    KeptCandidates,
    KeptIndexKind,
    KeptMinRecall,
    KeptReferenceMap,
    KeptVoting,
    MinRecall,
    NewStation,
    ReferenceMap,
    Rows,
    Station,
    Store,
    Voting,
)
from miwake.indexer.commands.threshold_options import request_of, with_threshold_options
from miwake.indexer.commands.working import print_json, read, station_path, training_rows, working
from miwake.indexer.sources.options import DATA_HELP, with_read_options
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from miwake.indexer.build import Built
    from miwake.indexer.building.build_settings import BuildSettings
    from miwake.indexer.commands.progress import Shown


@with_threshold_options
@with_read_options
def build(
    *,
    data: Data,
    store: Store,
    station: NewStation,
    embedder: Annotated[Path, typer.Option(help="Folder of the embedder artifact, from `miwake-train fit`.")],
    rows: BuildRows = Rows.TRAINING,
    flatness: Annotated[
        float, typer.Option(min=0, max=0.5, help="Least spread of a vector, as a share of the value range.")
    ] = 0.01,
    candidates: Candidates = 100,
    voting: Voting = 15,
    anchors: Anchors = "auto",
    anchors_per_class: AnchorsPerClass = 1,
    index_kind: IndexKind = "auto",
    min_recall: MinRecall = 0.99,
    reference_map: ReferenceMap = "auto",
    as_json: AsJson = False,
    reading: ReadSettings,
    asked: dict[str, Any],
) -> None:
    """Create a station from DATA and an embedder, and publish its first generation.

    Where a promise cannot be shown, nothing is published.
    """
    with working():
        from miwake.indexer import build as building  # noqa: PLC0415
        from miwake.indexer.building.build_settings import BuildSettings  # noqa: PLC0415

        settings = _settings(
            BuildSettings,
            n_candidates=candidates,
            n_voting=voting,
            anchors=anchors,
            anchors_per_class=anchors_per_class,
            index_kind=index_kind,
            min_recall=min_recall,
            reference_map=reference_map,
        )
        records = read(data, replace(reading, flatness=flatness))
        taken = training_rows(records, rows, as_training_does=True)
        with _shown() as shown:
            built = building.build(
                store,
                station,
                taken,
                embedder,
                settings=settings,
                request=request_of(asked),
                flatness=flatness,
                report=shown.report,
                advance=shown.advance,
            )
        _show_built(built, as_json=as_json)


@with_threshold_options
@with_read_options
def rebuild(
    *,
    store: Store,
    station: Station = "",
    add: Annotated[str | None, typer.Option(metavar="DATA", help="Records to add first. " + DATA_HELP)] = None,
    rows: AddedRows = Rows.TRAINING,
    embedder: Annotated[Path | None, typer.Option(help="A new embedder; by default the current one.")] = None,
    candidates: KeptCandidates = None,
    voting: KeptVoting = None,
    anchors: KeptAnchors = None,
    anchors_per_class: KeptAnchorsPerClass = None,
    index_kind: KeptIndexKind = None,
    min_recall: KeptMinRecall = None,
    reference_map: KeptReferenceMap = None,
    keep: Keep = 5,
    embed_all: Annotated[
        bool, typer.Option("--embed-all", help="Embed what the current generation holds embedded already, too.")
    ] = False,
    stage: Annotated[
        bool, typer.Option("--stage", help="Build and check it only; `diff` compares it, `activate` switches to it.")
    ] = False,
    as_json: AsJson = False,
    reading: ReadSettings,
    asked: dict[str, Any],
) -> None:
    """Publish a generation of the latest references; a running server takes it over.

    What the current generation was built with is kept, but for what is told here: candidates, voting, anchors, index,
    reference map.
    What the served threshold set was promised is asked again. Where a promise of this command cannot be shown, nothing
    is published; where an earlier one cannot be shown any more, that is told.
    """
    with working():
        from miwake.indexer import build as building  # noqa: PLC0415
        from miwake.indexer.building.build_settings import kept_settings  # noqa: PLC0415
        from miwake.indexer.storage.station import StationFolder  # noqa: PLC0415

        folder = StationFolder(station_path(store, station))
        settings = _settings(
            partial(kept_settings, folder),
            n_candidates=candidates,
            n_voting=voting,
            anchors=anchors,
            anchors_per_class=anchors_per_class,
            index_kind=index_kind,
            min_recall=min_recall,
            reference_map=reference_map,
            stage=stage,
        )
        records = None if add is None else training_rows(read(add, reading), rows, as_training_does=False)
        with _shown() as shown:
            built = building.rebuild(
                folder,
                records=records,
                embedder_folder=embedder,
                settings=settings,
                request=request_of(asked),
                keep=keep,
                reuse=not embed_all,
                report=shown.report,
                advance=shown.advance,
            )
        _show_built(built, as_json=as_json)


def _settings(make: Callable[..., BuildSettings], **told: Any) -> BuildSettings:
    try:
        return make(**told)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def _shown() -> Iterator[Shown]:
    from rich.console import Console  # noqa: PLC0415

    from miwake.indexer.commands.progress import shown_on  # noqa: PLC0415

    with shown_on(Console(stderr=True)) as shown:
        yield shown


def _show_built(built: Built, *, as_json: bool) -> None:
    from miwake.indexer.telling import tables  # noqa: PLC0415

    if as_json:
        print_json(asdict(built))
        return
    for line in tables.built_lines(built):
        print(line)
