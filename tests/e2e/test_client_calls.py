"""Single calls of both clients against a real server, and that the two clients say the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from miwake.client import (
    Client,
    Decision,
    Inspection,
    InspectionContext,
    InvalidQueryError,
    ItemErrorReason,
    LabelMethod,
    ProtocolError,
)
from miwake.client.report import answer_values, neighbours_values
from support.clients import KINDS, classify, inspect, search_neighbours
from support.service import InMemoryService, queries, references, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def service() -> InMemoryService:
    return InMemoryService()


@pytest.fixture
def target(service: InMemoryService) -> Iterator[str]:
    with serving(service) as address:
        yield address


@pytest.mark.parametrize("kind", KINDS)
def test_a_verdict_arrives_with_all_its_evidence(kind: str, target: str) -> None:
    [answer] = classify(kind, target, references()[1:2], ids=["part 1"], n_neighbours=3)

    verdict = answer.verdict
    assert (answer.id, answer.sequence, answer.error, answer.context) == ("part 1", 0, None, None)
    assert verdict is not None
    assert (verdict.label, verdict.failure_mode, verdict.decision) == (1, "mode 1", Decision.REJECT)
    assert (verdict.probability, verdict.reject_probability, verdict.margin) == (0.75, 0.875, 0.5)
    assert verdict.method is LabelMethod.VOTE
    assert verdict.method_labels == {LabelMethod.NEAREST_ANCHOR: 1, LabelMethod.VOTE: 1}
    assert verdict.anchors.labels.tolist() == [1, 2]
    assert verdict.anchors.distances.tolist() == [1.5, 2.5]
    assert len(verdict.neighbours) == 3
    assert verdict.neighbours.ids[0] == "reference 1"
    assert verdict.neighbours.failure_modes[0] == "mode 1"
    assert verdict.neighbours.labels.dtype == np.int32
    assert verdict.neighbours.distances.dtype == np.float32
    assert verdict.neighbours.distances[0] == 0
    # One float32 rounding of x.y / x.x, which is 1 in exact arithmetic.
    assert verdict.neighbours.betas[0] == pytest.approx(1, abs=1e-6)
    assert verdict.neighbours.match_distances[0] == 0
    assert answer.provenance.station == "bench"
    assert answer.provenance.generation == "g000001"
    assert answer.provenance.revision == 6
    assert (answer.provenance.queue_ms, answer.provenance.compute_ms, answer.provenance.batch_size) == (0.25, 0.5, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_answered_in_its_order_with_errors_in_their_place(kind: str, target: str) -> None:
    vectors = [*queries(2), queries(1)[0][:5], queries(3)[2]]

    answers = classify(kind, target, vectors)

    assert [answer.sequence for answer in answers] == [0, 1, 2, 3]
    assert [answer.verdict and answer.verdict.label for answer in answers] == [0, 1, None, 2]
    assert answers[2].error is not None
    assert answers[2].error.reason is ItemErrorReason.WRONG_LENGTH
    assert answers[2].error.message == "5 values, expected 12"


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_found_without_a_verdict(kind: str, target: str) -> None:
    answers = search_neighbours(kind, target, [references()[4], references()[4][:3]], n_neighbours=2)

    assert [answer.sequence for answer in answers] == [0, 1]
    assert answers[0].neighbours is not None
    assert answers[0].neighbours.ids[0] == "reference 4"
    assert len(answers[0].neighbours) == 2
    assert answers[1].neighbours is None
    assert answers[1].error is not None
    assert answers[1].error.reason is ItemErrorReason.WRONG_LENGTH


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_is_no_answers(kind: str, target: str) -> None:
    assert classify(kind, target, np.empty((0, 12), dtype=np.float32)) == []
    assert search_neighbours(kind, target, []) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_every_type_of_number_gives_the_same_label(dtype: Any, target: str) -> None:
    vectors = np.rint(queries(6).clip(0, 255)).astype(dtype)

    answers = classify("blocking", target, vectors)

    assert [answer.verdict and answer.verdict.label for answer in answers] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_context_comes_back_as_it_was_given(kind: str, target: str) -> None:
    context = InspectionContext(
        part_id="SN 42",
        job_id="J1",
        product_id="terminal",
        recipe_id="r3",
        inspected_at=datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC),
        is_simulated=False,
    )

    answers, error = inspect(kind, target, [Inspection(vector=queries(1)[0], context=context)])

    assert error is None
    assert answers[0].context == context


def test_both_clients_say_the_same(target: str) -> None:
    vectors = [*queries(40), queries(1)[0][:4], np.full(12, np.nan)]
    ids = [f"part {place}" for place in range(42)]
    context = InspectionContext(part_id="SN 1")
    items = [Inspection(vector=vector, id=name, context=context) for vector, name in zip(vectors, ids, strict=True)]

    said = {
        kind: [
            [answer_values(answer) for answer in classify(kind, target, vectors, ids=ids, n_neighbours=4)],
            [neighbours_values(answer) for answer in search_neighbours(kind, target, vectors, ids=ids)],
            # One vector a message: how many share one depends on timing, and the provenance tells.
            [answer_values(answer) for answer in inspect(kind, target, items, vectors_per_message=1)[0]],
        ]
        for kind in KINDS
    }

    assert said["blocking"] == said["asyncio"]
    assert [len(answers) for answers in said["blocking"]] == [42, 42, 42]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_with_an_answer_missing_is_refused(kind: str, service: InMemoryService, target: str) -> None:
    service.tamper = lambda answers: answers[:-1]

    with pytest.raises(ProtocolError, match="2 answers to 3 vectors"):
        classify(kind, target, queries(3))


def test_a_single_vector_is_not_taken_for_a_batch(target: str) -> None:
    with Client(target) as client, pytest.raises(InvalidQueryError, match=r"shape \(12,\), expected \(Q, V\)"):
        client.classify(queries(1)[0])
