"""The maps that queries of an opened generation are compared with: templates beside them, or means of its passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.records import has_template
from miwake.indexer.residuals.against import against_means, against_templates
from miwake.indexer.residuals.comparing import warm_up
from miwake.indexer.verdict.residual_terms import terms_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.answers import ResidualBatch
    from miwake.indexer.opened.contents import IndexContents
    from miwake.indexer.verdict.residual_terms import ResidualModel, ResidualTerms


class ServedMaps:
    """Compares queries with their reference maps, as the generation was calibrated.

    Attributes
    ----------
    model : ResidualModel or None
        What the residuals make of the probability of *reject*; None where they are evidence and nothing else.
    """

    def __init__(self, contents: IndexContents) -> None:
        card, calibration = contents.embedder.card, contents.calibration
        self.model: ResidualModel | None = None if calibration.residuals is None else calibration.residuals.model
        self._shape, self._scale = card.heat_map_shape, card.value_range
        self._means: NDArray[np.float32] | None = None
        if calibration.residuals is not None and calibration.residuals.reference_map == "template":
            warm_up()  # queries will bring templates, as the calibration rows did
        if calibration.reference_map == "class-mean":
            # Of the generation, whatever was added since: the weights were fitted to residuals against such means.
            self._means = contents.anchors.pass_means(contents.pass_labels)

    def compare(
        self, vectors: NDArray[np.float32], templates: NDArray[np.float32] | None
    ) -> tuple[ResidualBatch | None, ResidualTerms | None]:
        """Return how (Q, V) vectors differ from their maps, and the terms that their probabilities weigh, if any.

        A generation that weighs residuals against means compares with them, whether templates are given or not.
        """
        if self._means is not None:
            found = against_means(vectors, self._means, self._shape, self._scale)
        elif templates is not None and has_template(templates).any():
            found = against_templates(vectors, templates, self._shape, self._scale)
        else:
            return None, None
        return found, None if self.model is None else terms_of(found)
