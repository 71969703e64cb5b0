"""The golden template of each window of DeepPCB: ``python -m bench.golden_boards CLONE DATA OUT``.

CLONE is a clone of github.com/tangsanli5201/DeepPCB, which has a defect-free picture of every board beside the tested
one; DATA are windows of the tested pictures at half their size. Each is found again in its picture, and what the
defect-free picture shows at the same place is written beside it. Windows that were cut from the defect-free pictures
themselves are not found, and bring no template.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from PIL import Image
from scipy.signal import fftconvolve

from miwake.indexer.scale import FLATNESS
from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.indexer.sources.reader import read_records

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.float32]

AT_MOST = 3.0
"""Root mean square difference of a window that was found, in grey levels: rounding makes 0.3, another place tens."""

app = typer.Typer(add_completion=False)


@app.command()
def main(
    clone: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    data: Annotated[str, typer.Argument(help="DeepPCB as windows.")],
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
) -> None:
    """Write DATA with a template beside each window that is found."""
    records = read_records(data)
    pictures = {path.name: path for path in clone.glob("PCBData/*/*/*.jpg")}
    templates = np.full_like(records.vectors, np.nan)
    parts = np.array(records.parts)
    for part in sorted(set(records.parts)):
        tested, golden = (_read(pictures[f"{part}_{kind}.jpg"]) for kind in ("test", "temp"))
        rows = np.flatnonzero(parts == part)
        for row in rows:
            window = records.vectors[row].reshape(records.heat_map_shape)
            templates[row] = _find(window, tested, golden).ravel()
    write_parquet(replace(records, templates=templates), out)
    found = templates[np.isfinite(templates[:, 0])]
    n_flat = int((np.ptp(found, axis=1) < FLATNESS * 255).sum())
    typer.echo(f"{len(found)} of {len(records)} windows found, {n_flat} of them with a flat template")


def _read(path: Path) -> Picture:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.float32)


def _find(window: Picture, tested: Picture, golden: Picture) -> Picture:
    """Return what the golden picture shows where the window was cut from the tested one; NaN where it was not."""
    found = [_best(window, _halved(tested[down:, right:])) for down in (0, 1) for right in (0, 1)]
    least = int(np.argmin([difference for difference, _ in found]))
    difference, (row, column) = found[least]
    if difference > AT_MOST:
        return np.full_like(window, np.nan)
    shown = _halved(golden[least // 2 :, least % 2 :])
    return np.rint(shown[row : row + window.shape[0], column : column + window.shape[1]])


def _halved(picture: Picture) -> Picture:
    rows, columns = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    return np.asarray(picture[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)))


def _best(window: Picture, picture: Picture) -> tuple[float, tuple[int, int]]:
    """Return the least root mean square difference of a window, and where it is."""
    squares = fftconvolve(picture**2, np.ones_like(window), mode="valid")
    apart = squares - 2 * fftconvolve(picture, window[::-1, ::-1], mode="valid")
    row, column = (int(one) for one in np.unravel_index(int(apart.argmin()), apart.shape))
    there = picture[row : row + window.shape[0], column : column + window.shape[1]]
    return float(np.sqrt(np.mean((there - window) ** 2))), (row, column)


if __name__ == "__main__":
    app()
