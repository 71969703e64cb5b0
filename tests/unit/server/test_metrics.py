from __future__ import annotations

import socket
import urllib.request
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from miwake.server.batcher import Computed
from miwake.server.compute import answer
from miwake.server.errors import AddressError
from miwake.server.jobs import AS_USUAL, Job, Task, Wishes
from miwake.server.metrics import Metrics, exposed
from support.index import POISON, FakeIndex
from support.jobs import make_job

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def computed(*jobs: Job) -> Computed:
    return Computed(
        index=jobs[0].index,
        answered=answer(jobs),
        waits_s=[0.002 for _ in jobs],
        compute_s=0.02,
        n_items=sum(len(job.items) for job in jobs),
    )


def scraped(metrics: Metrics) -> Samples:
    with (
        exposed(metrics.registry, host="127.0.0.1", port=0) as address,
        urllib.request.urlopen(f"http://{address}/metrics") as response,
    ):
        text = response.read().decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def counted(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def after(jobs: Sequence[Job]) -> Samples:
    metrics = Metrics()
    metrics.count_batch(computed(*jobs))
    return scraped(metrics)


def test_reasons_are_counted_and_deviations_of_the_input_summed() -> None:
    # the fake index takes its label's bits for reasons, 3 = BETWEEN_THRESHOLDS and CONTRADICTION, and deviates by 0.25
    samples = after([make_job(FakeIndex(), 0.25, 0.375, 0.125, task=Task.CLASSIFY)])

    assert counted(samples, "miwake_reasons_total", station="line1", reason="BETWEEN_THRESHOLDS") == 2
    assert counted(samples, "miwake_reasons_total", station="line1", reason="CONTRADICTION") == 2
    assert sum(name == "miwake_reasons_total" for name, _ in samples) == 2
    assert counted(samples, "miwake_input_deviation_sum", station="line1", statistic="FOCUS") == 0.75
    assert sum(name == "miwake_input_deviation_sum" for name, _ in samples) == 6


def test_verdicts_are_counted_by_label_and_decision() -> None:
    samples = after([make_job(FakeIndex(), 0.01, 0.02, 0.31, task=Task.CLASSIFY)])

    assert counted(samples, "miwake_verdicts_total", station="line1", label="0", decision="PASS") == 2
    assert counted(samples, "miwake_verdicts_total", station="line1", label="3", decision="REJECT") == 1


def with_templates(index: FakeIndex, *, wishes: Wishes = AS_USUAL) -> Job:
    """Return a job of three vectors, of which the first brings a template."""
    job = make_job(index, 0.01, 0.02, 0.31, task=Task.CLASSIFY, wishes=wishes)
    templates = np.full_like(job.items.vectors, np.nan)
    templates[0] = job.items.vectors[2]
    return replace(job, items=replace(job.items, templates=templates))


@pytest.mark.parametrize("wishes", [AS_USUAL, Wishes(omit_residuals=True)])
def test_verdicts_are_counted_by_the_map_that_they_were_compared_with(wishes: Wishes) -> None:
    regarding = FakeIndex()
    regarding.reference_map = "template"
    samples = after([with_templates(regarding, wishes=wishes)])

    assert counted(samples, "miwake_compared_verdicts_total", station="line1", reference="TEMPLATE") == 1
    assert counted(samples, "miwake_compared_verdicts_total", station="line1", reference="NONE") == 2


def test_templates_that_do_not_come_are_counted_only_where_they_are_regarded() -> None:
    regarding = FakeIndex()
    regarding.reference_map = "template"

    samples = after([make_job(regarding, 0.01, 0.02, task=Task.CLASSIFY)])
    others = after([make_job(FakeIndex(), 0.01, 0.02, task=Task.CLASSIFY)])

    assert counted(samples, "miwake_compared_verdicts_total", station="line1", reference="NONE") == 2
    assert not any(name == "miwake_compared_verdicts_total" for name, _ in others)


def test_a_caller_without_templates_is_counted_alike_alone_and_beside_one_that_brings_some() -> None:
    index = FakeIndex()
    samples = after([make_job(index, 0.01, 0.02, task=Task.CLASSIFY), with_templates(index)])

    assert counted(samples, "miwake_compared_verdicts_total", station="line1", reference="TEMPLATE") == 1
    assert ("miwake_compared_verdicts_total", (("reference", "NONE"), ("station", "line1"))) not in samples


def test_a_batch_of_two_callers_is_counted_once() -> None:
    index = FakeIndex()
    samples = after([make_job(index, 0.01, task=Task.CLASSIFY), make_job(index, 0.02, task=Task.CLASSIFY)])

    assert counted(samples, "miwake_verdicts_total", station="line1", label="0", decision="PASS") == 2
    assert counted(samples, "miwake_batch_size_sum") == 2
    assert counted(samples, "miwake_stage_seconds_count", stage="queue") == 2
    assert counted(samples, "miwake_stage_seconds_count", stage="compute") == 1


def test_items_without_a_verdict_are_counted_by_reason() -> None:
    samples = after([make_job(FakeIndex(), 0.01, float("nan"), unreadable=(1,), task=Task.CLASSIFY)])

    assert counted(samples, "miwake_item_errors_total", station="line1", reason="NON_FINITE") == 1
    assert counted(samples, "miwake_item_errors_total", station="line1", reason="WRONG_LENGTH") == 1


def test_verdicts_asked_alone_after_a_failure_are_counted_each() -> None:
    samples = after([make_job(FakeIndex(), 0.01, POISON, 0.02, task=Task.CLASSIFY)])

    assert counted(samples, "miwake_verdicts_total", station="line1", label="0", decision="PASS") == 2
    assert counted(samples, "miwake_item_errors_total", station="line1", reason="INTERNAL") == 1


def test_searches_are_no_verdicts() -> None:
    samples = after([make_job(FakeIndex(), 0.01, 0.02, task=Task.SEARCH)])

    assert counted(samples, "miwake_searches_total", station="line1") == 2
    assert not any(name == "miwake_verdicts_total" for name, _ in samples)


def test_novelty_is_told_as_a_share_of_its_threshold() -> None:
    samples = after([make_job(FakeIndex(), 0.25, 0.75, task=Task.CLASSIFY)])  # its threshold is 0.5

    assert counted(samples, "miwake_novelty_share_sum", station="line1") == pytest.approx(2.0, abs=1e-6)
    assert counted(samples, "miwake_novelty_share_bucket", station="line1", le="1.0") == 1


def test_a_threshold_of_nothing_is_no_error() -> None:
    index = FakeIndex()
    index.novelty_at_most = 0.0
    samples = after([make_job(index, 0.25, task=Task.CLASSIFY)])

    assert counted(samples, "miwake_novelty_share_bucket", station="line1", le="2.0") == 0
    assert np.isfinite(counted(samples, "miwake_novelty_share_sum", station="line1"))


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(AddressError, match=f"127.0.0.1:{port}: metrics cannot be served there"),
            exposed(Metrics().registry, host="127.0.0.1", port=port),
        ):
            pass
