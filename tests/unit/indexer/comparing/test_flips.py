from __future__ import annotations

from dataclasses import replace

import pytest

from miwake.indexer.comparing.flips import Answer, Flip, effect_of, kind_of, weight_of

ANSWER = Answer(
    label=0,
    failure_mode="",
    decision="PASS",
    probability=0.9,
    reject_probability=0.1,
    novelty=0.1,
    reference_id="a",
    reference_label=0,
    distance=0.1,
    match_distance=0.1,
)


def answer(text: str) -> Answer:
    """Return an answer from text such as ``REJECT 13 burr``."""
    decision, label, *mode = text.split()
    return replace(ANSWER, decision=decision, label=int(label), failure_mode=" ".join(mode))


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("PASS 0", "PASS 0", ""),
        ("PASS 0", "REJECT 13", "PASS→REJECT"),
        ("REVIEW 0", "PASS 0", "REVIEW→PASS"),
        ("REJECT 13", "REJECT 21", "label"),
        ("REJECT 13 burr", "REJECT 13 dent", "failure mode"),
    ],
)
def test_the_kind_of_a_flip_is_its_largest_change(first: str, second: str, kind: str) -> None:
    assert kind_of(answer(first), answer(second)) == kind


@pytest.mark.parametrize(
    ("truth", "first", "second", "effect"),
    [
        (13, "REJECT 13", "PASS 0", "new escape"),
        (13, "PASS 0", "REJECT 13", "escape mended"),
        (0, "PASS 0", "REJECT 13", "new overkill"),
        (0, "REVIEW 13", "PASS 0", "overkill mended"),
        (13, "REVIEW 0", "PASS 0", "reject passed"),
        (13, "PASS 0", "UNKNOWN 0", "reject stopped"),
        (0, "REVIEW 13", "REJECT 13", "pass rejected"),
        (0, "REJECT 13", "REVIEW 13", "pass let through"),
        (13, "REJECT 13", "REJECT 21", ""),
        (0, "PASS 0", "REVIEW 0", ""),
    ],
)
def test_the_effect_is_what_becomes_of_the_two_errors(truth: int, first: str, second: str, effect: str) -> None:
    assert effect_of(truth, answer(first), answer(second), (0,)) == effect


def test_a_second_pass_label_is_a_pass_too() -> None:
    assert effect_of(4, answer("PASS 0"), answer("PASS 4"), (0, 4)) == ""


def test_the_dangerous_ones_come_first() -> None:
    told = [
        (0, "PASS 0", "REVIEW 0"),
        (13, "REJECT 13 burr", "REJECT 13 dent"),
        (0, "REVIEW 13", "REJECT 13"),
        (13, "REVIEW 0", "PASS 0"),
        (0, "REJECT 13", "PASS 0"),
        (13, "REJECT 13", "PASS 0"),
        (0, "PASS 0", "REJECT 13"),
    ]
    flips = []
    for row, (truth, *texts) in enumerate(told):
        first, second = map(answer, texts)
        flips.append(
            Flip(
                row=row,
                id=str(row),
                part="",
                true_label=truth,
                true_failure_mode="",
                kind=kind_of(first, second),
                effect=effect_of(truth, first, second, (0,)),
                first=first,
                second=second,
            )
        )

    assert [flip.row for flip in sorted(flips, key=weight_of)] == [5, 3, 4, 6, 2, 0, 1]
