"""Reports: the same figures as JSON and as a table."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.outcome import Figures, Outcome, Series
from oarlock.loadgen.report import Report


@pytest.fixture
def report() -> Report:
    latencies = Histogram()
    for value_ms in (1, 2, 3):
        latencies.record(value_ms * 1_000_000)
    return Report("put", {"clients": 2}, Figures(0.5, 4, latencies, Counter(NoSpaceError=1)))


def test_the_json_has_rate_percentiles_and_errors(report: Report) -> None:
    data = json.loads(report.as_json())
    assert (data["requests"], data["requests_per_second"], data["errors"]) == (4, 6.0, {"NoSpaceError": 1})
    assert list(data["latency_ms"]) == ["min", "mean", "p50", "p90", "p99", "p99.9", "max"]
    assert data["latency_ms"]["p50"] == pytest.approx(2, rel=0.004)
    assert data["latency_ms"]["max"] == 3


def test_the_table_shows_the_same(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    report.show("table")
    shown = capsys.readouterr().out
    for text in ("settings clients", "requests per second", "6.000", "latency ms p99.9", "errors NoSpaceError"):
        assert text in shown


def test_a_load_without_success_has_zeros() -> None:
    report = Report("put", {}, Figures(0.0, 0, Histogram(), Counter()))
    assert json.loads(report.as_json())["requests_per_second"] == 0


def test_an_outcome_is_told_by_kind_and_by_time() -> None:
    outcome = Outcome(2.0, cpu_s=1.0, counts=Counter(retries=3))
    for kind, latency_ns in (("put", 4_000_000), ("range", 2_000_000)):
        outcome.series[kind] = Series(sent=1)
        outcome.series[kind].latencies.record(latency_ns)
        outcome.timeline.record(1.5, latency_ns)
    report = Report.of("mixed", {"processes": 2}, outcome)
    data = json.loads(report.as_json())
    assert (data["requests"], data["counts"], data["generator_busy_percent"]) == (2, {"retries": 3}, 25.0)
    assert data["series"]["put"]["latency_ms"]["max"] == 4
    assert [(row["at_s"], row["requests"], row["max_ms"]) for row in data["timeline"]] == [(0, 0, 0), (1, 2, 4)]
    assert "timeline" not in report.as_data()
