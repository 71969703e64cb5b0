"""The pictures of a demonstration: some answers of each kind, and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demonstration.cases import choose
from demonstration.pictures import Case, Maps, draw_case, draw_confusion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demonstration.cases import Answered, Kind
    from miwake.client import Verdict
    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Draws pictures into a new folder.

    Attributes
    ----------
    folder : Path
    index : InspectionIndex
        Of the generation that answered; the anchors are drawn from it.
    training, held_out : Records
        What the references were made from, and what was streamed.
    note : text
        Stands in each picture; may be empty.
    """

    folder: Path
    index: InspectionIndex
    training: Records
    held_out: Records
    note: str

    def draw(self, answered: Answered, verdicts: Mapping[int, Verdict]) -> None:
        """Draw some answers of each kind, and the confusion matrix.

        Parameters
        ----------
        verdicts
            By held-out row.
        """
        self.folder.mkdir()
        training_rows = {name: row for row, name in enumerate(self.training.ids)}
        modes = _usual_modes(self.training)
        n_drawn: Counter[Kind] = Counter()
        for kind, position in choose(answered):
            n_drawn[kind] += 1
            row = int(answered.rows[position])
            maps = self._maps(row, verdicts[row], training_rows[verdicts[row].neighbours.ids[0]])
            path = self.folder / f"{kind.value.replace(' ', '-')}-{n_drawn[kind]}.png"
            draw_case(path, self._case(kind, row, verdicts[row], modes), maps, note=self.note)
        self._draw_confusion(answered, _usual_modes(self.held_out) | modes)

    def _maps(self, row: int, verdict: Verdict, training_row: int) -> Maps:
        shape = self.held_out.heat_map_shape
        return Maps(
            measurement=self.held_out.vectors[row].reshape(shape),
            anchor=self.index.anchor_vector(int(verdict.anchors.labels[0])).reshape(shape),
            reference=self.training.vectors[training_row].reshape(shape),
        )

    def _case(self, kind: Kind, row: int, verdict: Verdict, modes: Mapping[int, str]) -> Case:
        nearest = verdict.neighbours
        anchor_label = int(verdict.anchors.labels[0])
        return Case(
            kind=kind.value,
            id=self.held_out.ids[row],
            true_label=int(self.held_out.labels[row]),
            true_failure_mode=self.held_out.failure_modes[row],
            label=verdict.label,
            failure_mode=verdict.failure_mode,
            decision=verdict.decision.name,
            probability=verdict.probability,
            anchor_label=anchor_label,
            anchor_failure_mode=modes[anchor_label],
            anchor_distance=float(verdict.anchors.distances[0]),
            reference_id=nearest.ids[0],
            reference_label=int(nearest.labels[0]),
            reference_failure_mode=nearest.failure_modes[0],
            distance=float(nearest.distances[0]),
            beta=float(nearest.betas[0]),
            eta=float(nearest.etas[0]),
            gamma=float(nearest.gammas[0]),
            match_distance=float(nearest.match_distances[0]),
        )

    def _draw_confusion(self, answered: Answered, modes: Mapping[int, str]) -> None:
        known = answered.known_labels
        strangers = sorted(set(answered.true_labels.tolist()).difference(known))
        rows = {label: place for place, label in enumerate([*known, *strangers])}
        columns = {label: place for place, label in enumerate(known)}
        counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
        for true, found in zip(answered.true_labels.tolist(), answered.labels.tolist(), strict=True):
            counts[rows[true], columns[found]] += 1
        names = [f"{label} {modes[label]}".strip() for label in known]
        unknown = [f"? {label} {modes[label]}".strip() for label in strangers]
        title = "counts, and the share of each row" + (f" ({self.note})" if self.note else "")
        title += "; ? an unknown kind" if unknown else ""
        draw_confusion(self.folder / "confusion.png", counts, [*names, *unknown], names, title)


def _usual_modes(records: Records) -> dict[int, str]:
    """Return the failure mode that most records of each label bear."""
    counted: dict[int, Counter[str]] = {}
    for label, mode in zip(records.labels.tolist(), records.failure_modes, strict=True):
        counted.setdefault(label, Counter())[mode] += 1
    return {label: modes.most_common(1)[0][0] for label, modes in counted.items()}
