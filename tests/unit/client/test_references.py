from __future__ import annotations

import re

import numpy as np
import pytest

from miwake.client.errors import InvalidQueryError
from miwake.client.references import NewReference, add_request, list_request, relabel_request, remove_request

VECTOR = np.zeros(4, dtype=np.float32)


def adding(**changes: object) -> None:
    fields = {"id": "r1", "vector": VECTOR, "label": 3, "failure_mode": "burr", **changes}
    add_request([NewReference(**fields)], station="", source="", actor=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "3"}, "reference 'r1': label '3', expected a whole number of 32 bits"),
        ({"label": True}, "reference 'r1': label True, expected a whole number of 32 bits"),
        ({"label": 2**31}, "reference 'r1': label 2147483648, expected a whole number of 32 bits"),
        ({"failure_mode": None}, "reference 'r1': failure_mode None, expected text that can be sent"),
        ({"group": "\ud800"}, "reference 'r1': group '\\ud800', expected text that can be sent"),
        ({"vector": VECTOR[None]}, "reference 'r1': a vector of shape (1, 4), expected (V,)"),
    ],
    ids=["text", "bool", "large", "mode", "surrogate", "matrix"],
)
def test_what_cannot_be_sent_names_its_reference(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidQueryError, match=re.escape(message)):
        adding(**changes)


def test_one_text_is_not_taken_for_ids() -> None:
    with pytest.raises(InvalidQueryError, match="ids 'part-1': a single text, expected several"):
        remove_request("part-1", station="", actor=None)


def test_a_label_of_numpy_is_a_label() -> None:
    assert relabel_request(["a"], np.int64(-5), "x", station="", actor="Ada").label == -5  # type: ignore[arg-type]


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidQueryError, match="page_size 0, expected at least 1"):
        list_request(station="", page_size=0, page_token="")
