"""What an operator watches: counts and times in Prometheus's text format, over HTTP on the loopback interface.

Counting happens on the compute thread after a batch has been delivered, some 30 µs a batch; what has a state of its own
(queue, streams, generations) is asked when it is scraped. docs/operations.md lists the names.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from miwake.indexer.answers import Decision, DecisionReason, HealthStatistic, PairBatch, ReferenceMap, VerdictBatch
from miwake.server.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from miwake.server.batcher import Computed
    from miwake.server.engine import Engine
    from miwake.server.index import Index

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bounds of the histograms of times."""

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

SHARES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
"""Bounds of novelty as a share of its threshold: beyond 1 the answer is UNKNOWN."""

LEAST_NOVELTY = 1e-12
"""Taken for a threshold of 0, which a station of equal references has."""


class Metrics:
    """The counters and histograms of one server.

    Attributes
    ----------
    registry : CollectorRegistry
        What is scraped.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._verdicts = Counter(
            "miwake_verdicts", "Verdicts.", ("station", "label", "decision"), registry=self.registry
        )
        self._reasons = Counter(
            "miwake_reasons",
            "Verdicts that something speaks against, by what it is.",
            ("station", "reason"),
            registry=self.registry,
        )
        self._deviations = Gauge(
            "miwake_input_deviation_sum",
            "Deviations of the inputs' health from what is ordinary, in units of their limits, summed over verdicts.",
            ("station", "statistic"),
            registry=self.registry,
            multiprocess_mode="sum",
        )
        self._compared = Counter(
            "miwake_compared_verdicts",
            "Verdicts of stations that compare with maps, by what map their vectors were compared with.",
            ("station", "reference"),
            registry=self.registry,
        )
        self._errors = Counter(
            "miwake_item_errors", "Vectors that could not be judged.", ("station", "reason"), registry=self.registry
        )
        self._searches = Counter(
            "miwake_searches", "Vectors whose neighbours were found.", ("station",), registry=self.registry
        )
        self._pairs = Counter("miwake_pairs", "Pairs that were compared.", ("station",), registry=self.registry)
        self._stages = Histogram(
            "miwake_stage_seconds",
            "Time of a request in the queue, of a batch computed, of each stage of that, of a response encoded.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batch_sizes = Histogram(
            "miwake_batch_size", "Vectors computed together.", buckets=BATCH_SIZES, registry=self.registry
        )
        self._novelty = Histogram(
            "miwake_novelty_share",
            "Novelty as a share of the distance beyond which the answer is UNKNOWN.",
            ("station",),
            buckets=SHARES,
            registry=self.registry,
        )
        self._recorded = Counter(
            "miwake_verdict_log_answers", "Answers that are in the verdict log.", registry=self.registry
        )
        self._lost = Counter(
            "miwake_verdict_log_lost", "Answers that should be in the verdict log and are not.", registry=self.registry
        )
        self._queue = self._stages.labels("queue")
        self._compute = self._stages.labels("compute")
        self._encode = self._stages.labels("encode")

    def count_batch(self, computed: Computed) -> None:
        """Count what one batch answered, and how long it took."""
        self._batch_sizes.observe(computed.n_items)
        self._compute.observe(computed.compute_s)
        for waited_s in computed.waits_s:
            self._queue.observe(waited_s)
        station = computed.index.station
        for answered in computed.answered:
            for failure in answered.failures.values():
                self._errors.labels(station, failure.fault.name).inc()
        for batch in computed.batches():
            if isinstance(batch, VerdictBatch):
                self._count_verdicts(computed.index, batch)
            elif isinstance(batch, PairBatch):
                self._pairs.labels(station).inc(len(batch))
            else:
                self._searches.labels(station).inc(len(batch))

    def count_encoded(self, seconds: float) -> None:
        """Count the time in which a response was encoded."""
        self._encode.observe(seconds)

    def count_recorded(self, n_recorded: int, n_lost: int) -> None:
        """Count what went into the verdict log, and what did not."""
        self._recorded.inc(n_recorded)
        self._lost.inc(n_lost)

    def watch(self, collector: Collector) -> None:
        """Ask the collector, too, when scraped."""
        self.registry.register(collector)

    def _count_verdicts(self, index: Index, batch: VerdictBatch) -> None:
        for stage, seconds in batch.stage_seconds.items():
            self._stages.labels(stage).observe(seconds)
        pairs, counts = np.unique(np.stack([batch.labels, batch.decisions]), axis=1, return_counts=True)
        for label, decision, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
            self._verdicts.labels(index.station, str(label), Decision(decision).name).inc(count)
        for reason in DecisionReason:
            n_verdicts = int(np.count_nonzero(batch.reasons & reason))
            if n_verdicts:
                self._reasons.labels(index.station, reason.name).inc(n_verdicts)
        for statistic, deviation in zip(
            HealthStatistic, batch.health.sum(axis=0, dtype=np.float64).tolist(), strict=False
        ):
            self._deviations.labels(index.station, statistic.name).inc(deviation)
        self._count_compared(index, batch)
        novelty = self._novelty.labels(index.station)
        for share in (batch.novelty.astype(np.float64) / max(index.novelty_at_most, LEAST_NOVELTY)).tolist():
            novelty.observe(share)

    def _count_compared(self, index: Index, batch: VerdictBatch) -> None:
        references = np.zeros(len(batch), np.uint8) if batch.residuals is None else batch.residuals.reference
        for reference, count in zip(*np.unique(references, return_counts=True), strict=True):
            # Whether a batch has residuals is up to whoever shares it: a station that regards no map misses none.
            if reference != ReferenceMap.NONE or index.reference_map != "none":
                self._compared.labels(index.station, ReferenceMap(reference).name).inc(count)


class StateCollector(Collector):
    """The states of a server that are asked when it is scraped.

    Parameters
    ----------
    engine : Engine
        What is asked.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yield the states as they are now."""
        yield GaugeMetricFamily(
            "miwake_queued_vectors", "Vectors that wait to be computed.", self._engine.batcher.n_queued
        )
        yield GaugeMetricFamily("miwake_open_streams", "Open Inspect streams.", self._engine.calls.n_streams)
        yield GaugeMetricFamily(
            "miwake_parked_streams", "Streams without a call that can be taken up again.", self._engine.streams.n_parked
        )
        generation = GaugeMetricFamily(
            "miwake_generation",
            "1 for what answers.",
            labels=("station", "generation", "embedder", "threshold_set"),
        )
        revision = GaugeMetricFamily("miwake_revision", "Revision of the references.", labels=("station",))
        refused = GaugeMetricFamily(
            "miwake_refused", "1 while what is current cannot be opened or read.", labels=("station",)
        )
        for station in self._engine.stations.all():
            index = station.index
            generation.add_metric((index.station, index.generation, index.embedder_id, index.threshold_set), 1)
            revision.add_metric((index.station,), index.revision)
            refused.add_metric((index.station,), float(bool(station.problem)))
        yield from (generation, revision, refused)
        recorder = self._engine.recorder
        if recorder is not None:
            yield GaugeMetricFamily(
                "miwake_verdict_log_queued", "Answers that wait to be written to the verdict log.", recorder.n_queued
            )
            yield GaugeMetricFamily(
                "miwake_verdict_log_failing",
                "1 while answers do not get into the verdict log.",
                float(recorder.is_failing),
            )


@contextmanager
def exposed(registry: CollectorRegistry, *, host: str, port: int) -> Iterator[str]:
    """Serve the metrics over HTTP meanwhile, and give the address, ``host:port``.

    Raises
    ------
    AddressError
        If the port is taken.
    """
    try:
        http, thread = start_http_server(port, host, registry)
    except OSError as error:
        message = f"{host}:{port}: metrics cannot be served there: {error.strerror}"
        raise AddressError(message) from error
    try:
        yield f"{host}:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
