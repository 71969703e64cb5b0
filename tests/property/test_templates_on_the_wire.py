"""What the client packs beside a vector is what the server reads, in whatever types the two are."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from miwake.client.inspections import Inspection
from miwake.client.packing import classify_request
from miwake.inspection.v1 import inspection_service_pb2
from miwake.server import wire

N_VALUES = 3
KINDS = ("f2", "<f4", ">f4", "<f8", "u1")


def maps() -> st.SearchStrategy[NDArray[Any]]:
    kinds = st.sampled_from(KINDS)
    # Within float16, so that every kind holds what was drawn.
    values = st.lists(st.integers(0, 255), min_size=N_VALUES, max_size=N_VALUES)
    return st.builds(lambda kind, drawn: np.array(drawn).astype(kind), kinds, values)


def halves() -> st.SearchStrategy[NDArray[Any]]:
    return hnp.arrays(np.float16, N_VALUES, elements=st.floats(width=16, allow_nan=False))


@given(st.lists(st.tuples(maps() | halves(), st.none() | maps() | halves()), min_size=1, max_size=6))
def test_each_vector_comes_with_its_own_template(drawn: list[tuple[NDArray[Any], NDArray[Any] | None]]) -> None:
    vectors = [Inspection(vector=vector, template=template) for vector, template in drawn]

    request = classify_request(vectors, station="", ids=None, context=None, n_neighbours=None)
    sent = inspection_service_pb2.ClassifyRequest.FromString(request.encoded()).vectors
    items = wire.read_items(sent, context=None, n_values=N_VALUES, first_sequence=0, with_templates=True)

    expected = [np.full(N_VALUES, np.nan) if template is None else template for _, template in drawn]
    assert not items.failures
    np.testing.assert_array_equal(items.vectors, np.stack([vector.astype(np.float32) for vector, _ in drawn]))
    if any(template is not None for _, template in drawn):
        assert items.templates is not None
        np.testing.assert_array_equal(items.templates, np.stack([one.astype(np.float32) for one in expected]))
    else:
        assert items.templates is None
