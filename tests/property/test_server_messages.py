"""What the server writes fast is what it would write plainly; what it reads is what was sent."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from miwake.indexer.answers import (
    Decision,
    DecisionReason,
    HealthStatistic,
    LabelMethod,
    NeighbourBatch,
    ReferenceMap,
    ResidualBatch,
    VerdictBatch,
)
from miwake.inspection.v1 import answer_pb2, vector_pb2
from miwake.server import wire
from miwake.server.arrays import Rows, residuals_of
from miwake.server.columns import VerdictColumns
from miwake.server.jobs import Items, Results, Slice
from support.plain_arrays import verdict_in
from support.plain_messages import plain_verdict

TEXT = st.text(max_size=8)
INT32 = st.integers(-(2**31), 2**31 - 1)


def floats(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.float32]]:
    return hnp.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False))


def labels(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.int32]]:
    return hnp.arrays(np.int32, shape, elements=INT32)


def texts(n_rows: int, n_columns: int) -> st.SearchStrategy[tuple[tuple[str, ...], ...]]:
    return st.tuples(*[st.tuples(*[TEXT] * n_columns)] * n_rows)


@st.composite
def residual_batches(draw: st.DrawFn, q: int) -> ResidualBatch:
    shifts = hnp.arrays(np.int8, q)
    return ResidualBatch(
        reference=draw(hnp.arrays(np.uint8, q, elements=st.sampled_from([one.value for one in ReferenceMap]))),
        shift_rows=draw(shifts),
        shift_columns=draw(shifts),
        beta=draw(floats((q,))),
        eta=draw(floats((q,))),
        gamma=draw(floats((q,))),
        l2=draw(floats((q,))),
        l6=draw(floats((q,))),
        largest=draw(floats((q,))),
        standardised_l2=draw(floats((q,))),
        standardised_l6=draw(floats((q,))),
        standardised_largest=draw(floats((q,))),
    )


@st.composite
def verdict_batches(draw: st.DrawFn) -> VerdictBatch:
    q, k, c = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    h = draw(st.sampled_from([0, len(HealthStatistic)]))
    neighbours = NeighbourBatch(
        positions=np.zeros((q, k), dtype=np.int64),
        labels=draw(labels((q, k))),
        ids=draw(texts(q, k)),
        failure_modes=draw(texts(q, k)),
        distances=draw(floats((q, k))),
        beta=draw(floats((q, k))),
        eta=draw(floats((q, k))),
        gamma=draw(floats((q, k))),
        match_distances=draw(floats((q, k))),
    )
    return VerdictBatch(
        labels=draw(labels((q,))),
        failure_modes=draw(st.tuples(*[TEXT] * q)),
        decisions=draw(hnp.arrays(np.int8, q, elements=st.sampled_from([one.value for one in Decision]))),
        reasons=draw(hnp.arrays(np.int16, q, elements=st.integers(0, 2 ** len(DecisionReason) - 1))),
        probabilities=draw(floats((q,))),
        reject_probabilities=draw(st.none() | floats((q,))),
        margins=draw(floats((q,))),
        novelty=draw(floats((q,))),
        health=draw(floats((q, h))),
        method=draw(st.sampled_from(LabelMethod)),
        method_labels=draw(labels((q, 3))),
        anchor_labels=draw(labels((q, c))),
        anchor_distances=draw(floats((q, c))),
        neighbours=neighbours,
        residuals=draw(st.none() | residual_batches(q)),
    )


@given(verdict_batches())
def test_a_verdict_written_from_columns_is_the_one_built_from_its_parts(batch: VerdictBatch) -> None:
    columns = VerdictColumns(batch)
    written = [answer_pb2.Verdict() for _ in range(len(batch))]
    for row, verdict in enumerate(written):
        columns.write(row, verdict)

    assert [one.SerializeToString(deterministic=True) for one in written] == [
        plain_verdict(batch, row).SerializeToString(deterministic=True) for row in range(len(batch))
    ]


def two_parts(n_rows: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Return where a batch of rows is cut in two, or not at all."""
    return st.integers(0, n_rows - 1).map(lambda cut: [(0, cut), (cut, n_rows)] if cut else [(0, n_rows)])


@given(st.data(), verdict_batches())
def test_verdicts_written_in_arrays_are_those_built_from_their_parts(data: st.DataObject, batch: VerdictBatch) -> None:
    slices = [Slice(Results(batch), *part) for part in data.draw(two_parts(len(batch)))]
    arrays = answer_pb2.VerdictArrays()
    Rows(slices).verdicts(arrays)
    residuals = [one for part in slices for one in residuals_of(part)]

    written = [verdict_in(arrays, row) for row in range(len(batch))]
    for verdict, residual in zip(written, residuals, strict=True):
        verdict.MergeFromString(residual)
    assert [one.SerializeToString(deterministic=True) for one in written] == [
        plain_verdict(batch, row).SerializeToString(deterministic=True) for row in range(len(batch))
    ]


def packed(data: bytes, kind: int) -> vector_pb2.InspectionVector:
    return vector_pb2.InspectionVector(packed=data, data_type=kind)  # type: ignore[arg-type] # unknown ones too


def spelt_out(values: list[float]) -> vector_pb2.InspectionVector:
    return vector_pb2.InspectionVector(floats=vector_pb2.FloatValues(values=values))


def with_template(
    vector: vector_pb2.InspectionVector, template: bytes, spelt_out: list[float]
) -> vector_pb2.InspectionVector:
    found = vector_pb2.InspectionVector()
    found.CopyFrom(vector)
    found.template = template
    if found.HasField("floats"):
        found.floats.template.extend(spelt_out)
    return found


def vector_messages() -> st.SearchStrategy[vector_pb2.InspectionVector]:
    values = hnp.arrays(np.float32, 3, elements=st.floats(width=32))
    vectors = st.one_of(
        st.builds(lambda found: packed(found.tobytes(), vector_pb2.DATA_TYPE_FLOAT32), values),
        st.builds(packed, st.binary(max_size=13), st.integers(-1, 4)),
        st.builds(spelt_out, st.lists(st.floats(width=32), max_size=4)),
    )
    templates = st.one_of(st.just(b""), values.map(lambda found: found.tobytes()), st.binary(max_size=13))
    return st.builds(with_template, vectors, templates, st.lists(st.floats(width=32), max_size=4))


def read(messages: list[vector_pb2.InspectionVector]) -> Items:
    return wire.read_items(messages, context=None, n_values=3, first_sequence=0, with_templates=True)


def templates_of(items: Items) -> NDArray[np.float32]:
    return np.full_like(items.vectors, np.nan) if items.templates is None else items.templates


@given(st.lists(vector_messages(), max_size=5))
def test_every_vector_of_a_message_is_read_or_has_a_failure(messages: list[vector_pb2.InspectionVector]) -> None:
    items = read(messages)

    assert len(items) == len(messages)
    assert len(items.vectors) + len(items.failures) == len(messages)
    assert templates_of(items).shape == items.vectors.shape
    assert set(items.failures) <= set(range(len(messages)))


@given(st.lists(vector_messages(), min_size=1, max_size=5))
def test_a_vector_is_read_alone_as_among_others(messages: list[vector_pb2.InspectionVector]) -> None:
    together = read(messages)
    alone = [read([one]) for one in messages]

    np.testing.assert_array_equal(together.vectors, np.concatenate([one.vectors for one in alone]))
    np.testing.assert_array_equal(templates_of(together), np.concatenate([templates_of(one) for one in alone]))
    assert together.failures == {row: one.failures[0] for row, one in enumerate(alone) if one.failures}
