from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.client.unread import Unread

LABELS, DISTANCES = np.array([3, 1], dtype=np.int32), np.array([0.5, 1.5], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence(Unread):
    """Two arrays."""

    labels: NDArray[np.int32]
    distances: NDArray[np.float32]


class Reader:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.n_reads = 0

    def __call__(self) -> tuple[np.ndarray, np.ndarray]:
        self.n_reads += 1
        return LABELS, DISTANCES


def test_evidence_is_read_when_it_is_looked_at_and_once() -> None:
    reader = Reader()
    evidence = Evidence.unread(reader)
    assert reader.n_reads == 0

    assert evidence.distances is DISTANCES
    assert evidence.labels is LABELS
    assert reader.n_reads == 1


def test_it_is_a_dataclass_like_one_that_was_made_with_its_fields() -> None:
    unread, made = Evidence.unread(Reader()), Evidence(LABELS, DISTANCES)

    assert repr(unread) == repr(made)
    assert asdict(Evidence.unread(Reader())).keys() == asdict(made).keys()
    assert copy.copy(Evidence.unread(Reader())).labels is LABELS


@pytest.mark.parametrize("evidence", [Evidence(LABELS, DISTANCES), Evidence.unread(Reader())])
def test_what_is_no_field_is_no_attribute(evidence: Evidence) -> None:
    with pytest.raises(AttributeError, match="'Evidence' object has no attribute 'label'"):
        _ = evidence.label  # type: ignore[attr-defined]


def test_many_threads_may_look_at_once() -> None:
    for _ in range(50):
        evidence = Evidence.unread(Reader())
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _, one=evidence: one.labels, range(8)))
        assert all(labels is LABELS for labels in found)
