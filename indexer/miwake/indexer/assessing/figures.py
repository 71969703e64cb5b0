"""All figures of one trial, over all queries, by class and by group of parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from miwake.indexer.assessing.identification import Identification
from miwake.indexer.assessing.open_set import OpenSet
from miwake.indexer.assessing.roc import Separation
from miwake.indexer.evaluation import Evaluation

if TYPE_CHECKING:
    from miwake.indexer.assessing.trial import Distance


WAYS = {
    "nearest anchor": "nearest_anchor",
    "nearest mean embedding": "nearest_mean_embedding",
    "15 nearest": "nearest_references",
    "vote": "vote",
    "SOART3 vote": "soart3_vote",
}
"""The ways to a label: what people call them, and the attributes of ``Figures`` and ``Answers``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How right some queries are answered, and how well their embeddings tell classes apart.

    Attributes
    ----------
    n_queries, n_query_parts : int
    nearest_anchor, nearest_mean_embedding : Evaluation
        The label of the nearest embedded class mean, the classic way, and of the nearest mean of a class's embeddings.
    nearest_references : Evaluation
        The majority of the 15 nearest references; its probability is the share of the votes, not calibrated.
    vote, soart3_vote : Evaluation or None
        The two class-balanced votes of an index; None where nothing could be calibrated. Their probabilities, and then
        those of both kinds of anchors, are what that index would say of the labels.
    verification : by gallery (``references``, ``anchors``, ``mean_embeddings``) and distance
        1:1.
    identification : by gallery and distance
        1:N.
    open_set : OpenSet or None
        None for a class, which is among the left-out ones of all queries.
    """

    n_queries: int
    n_query_parts: int
    nearest_anchor: Evaluation
    nearest_mean_embedding: Evaluation
    nearest_references: Evaluation
    vote: Evaluation | None
    soart3_vote: Evaluation | None
    verification: dict[str, dict[Distance, Separation]]
    identification: dict[str, dict[Distance, Identification]]
    open_set: OpenSet | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)

    def ways(self) -> dict[str, Evaluation | None]:
        """Return the ways to a label by name."""
        return {name: getattr(self, attribute) for name, attribute in WAYS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures(Figures):
    """Figures of the queries of one class: accuracy is its recall, and its pairs and searches are those of its queries.

    Attributes
    ----------
    label : int
    is_pass : bool or None
        None without pass labels.
    n_references : int
    precision, f1 : by way, float or None
        Of all queries answered with this label, those that bear it; None where there are none.
    """

    label: int
    is_pass: bool | None
    n_references: int
    precision: dict[str, float | None]
    f1: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures(Figures):
    """Figures of the queries of one group of parts; the empty text is of parts that name none."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment(Figures):
    """Figures of all queries.

    Attributes
    ----------
    classes : tuple of ClassFigures
        Of the labels of the queries, ascending.
    groups : tuple of GroupFigures
        Empty where no query names its group.
    """

    classes: tuple[ClassFigures, ...]
    groups: tuple[GroupFigures, ...]


def values_of(figures: Figures) -> dict[str, Any]:
    """Return the attributes by name, so that a kind of figures that says more can be made of them."""
    return {field.name: getattr(figures, field.name) for field in fields(figures)}
