"""What a Prometheus server would scrape from a running process."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from miwake.client import Client
from support.serving import STATION, ServerProcess, SmallStation, running_server


def scrape(server: ServerProcess) -> dict[str, list[tuple[dict[str, str], float]]]:
    [bound] = server.events("metrics_exposed")
    with urllib.request.urlopen(f"http://{bound['address']}/metrics", timeout=30) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        families = text_string_to_metric_families(response.read().decode())
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_a_running_server_tells_what_it_has_answered(small_station: SmallStation, tmp_path: Path) -> None:
    bad = np.full_like(small_station.queries[0], np.nan)
    with running_server(small_station.store, tmp_path / "log", "--metrics-port", "0") as server:
        with Client(server.address) as client:
            answers = list(client.inspect([*small_station.queries[:30], bad]))
            # A batch is counted after it is delivered, and before the next is computed.
            client.search_neighbours(small_station.queries[:1])
        found = scrape(server)

    assert sum(value for _, value in found["miwake_verdicts_total"]) == 30
    assert found["miwake_item_errors_total"] == [({"station": STATION, "reason": "NON_FINITE"}, 1.0)]
    decisions = [answer.verdict.decision.name for answer in answers if answer.verdict is not None]
    passed = sum(value for labels, value in found["miwake_verdicts_total"] if labels["decision"] == "PASS")
    assert passed == decisions.count("PASS")
    [(generation, _)] = found["miwake_generation"]
    assert (generation["station"], generation["generation"]) == (STATION, "g000001")
    counts = {labels["stage"]: value for labels, value in found["miwake_stage_seconds_count"]}
    assert counts.keys() == {"queue", "compute", "encode", "embed", "search", "rerank", "judge"}
    n_of_verdicts = counts["compute"] - 1  # the other batch was a search for neighbours
    assert [counts[stage] for stage in ("embed", "search", "rerank", "judge")] == [n_of_verdicts] * 4
    seconds = {labels["stage"]: value for labels, value in found["miwake_stage_seconds_sum"]}
    in_stages = sum(seconds[stage] for stage in ("embed", "search", "rerank", "judge"))
    assert 0 < in_stages <= seconds["compute"]
    assert found["miwake_queued_vectors"] == [({}, 0.0)]
    assert found["miwake_refused"] == [({"station": STATION}, 0.0)]


def test_nothing_is_exposed_unless_asked(server: ServerProcess) -> None:
    assert server.events("metrics_exposed") == []
