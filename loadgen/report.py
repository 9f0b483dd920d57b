"""The figures of a load for people (a table) and for programs (JSON)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.html_report import Charted, flat
from oarlock.loadgen.outcome import REQUESTS, Figures, Outcome, Series
from oarlock.loadgen.timeline import Row, Timeline

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Report:
    """One load and what came of it.

    Attributes:
        benchmark: its name.
        settings: what was asked for, by name.
        figures: of the requests.
        deliveries: of the events that watchers got, where there were some: (rate a second, latencies).
        extra: further figures by name, units last.
        outcome: series and time line behind ``figures``, where the load kept them.
    """

    benchmark: str
    settings: dict[str, Any]
    figures: Figures
    deliveries: tuple[float, Histogram] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None

    @classmethod
    def of(cls, benchmark: str, settings: dict[str, Any], outcome: Outcome) -> Report:
        """The report of a load with all that came of it."""
        available_s = outcome.seconds * settings.get("processes", 1)
        extra: dict[str, Any] = (
            {"generator_busy_percent": round(outcome.cpu_s / available_s * 100, 1)} if available_s else {}
        )
        if outcome.counts:
            extra["counts"] = dict(outcome.counts)
        return cls(benchmark, settings, outcome.figures(), extra=extra, outcome=outcome)

    def as_data(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        data: dict[str, Any] = {
            "benchmark": self.benchmark,
            "settings": self.settings,
            "seconds": round(self.figures.seconds, 6),
            "requests": self.figures.sent,
            "requests_per_second": round(self.figures.rate, 1),
            "latency_ms": latency_ms(self.figures.latencies),
            "errors": dict(self.figures.errors),
            "generator_cpu_us_a_request": round(self.figures.generator_us, 2),
        }
        if self.deliveries is not None:
            rate, latencies = self.deliveries
            data["deliveries"] = latencies.count
            data["deliveries_per_second"] = round(rate, 1)
            data["delivery_latency_ms"] = latency_ms(latencies)
        if self.outcome is not None and len(self.outcome.series) > 1:
            seconds = self.figures.seconds
            data["series"] = {name: _series(series, seconds) for name, series in self.outcome.series.items()}
        return data | self.extra

    def as_json(self) -> str:
        """One JSON object, indented; with the time line, which a table has no room for."""
        timeline = {"timeline": timeline_data(self.outcome.timeline)} if self.outcome is not None else {}
        return json.dumps(self.as_data() | timeline, indent=2)

    def as_table(self) -> Table:
        """For ``Console.print``."""
        table = Table(title=f"oarlock bench {self.benchmark}", show_header=False)
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in flat(self._figures()):
            table.add_row(name, value)
        return table

    def charted(self) -> Charted:
        """For an HTML report."""
        figures = {name: value for name, value in self._figures().items() if name != "settings"}
        outcome = self.outcome or Outcome(series={REQUESTS: Series(self.figures.latencies)})
        curves = {name: series.latencies for name, series in outcome.series.items()}
        if self.deliveries is not None:
            curves["deliveries"] = self.deliveries[1]
        return Charted(self.benchmark, figures, self.settings, curves, {self.benchmark: outcome.timeline})

    def _figures(self) -> dict[str, Any]:
        return {name: value for name, value in self.as_data().items() if name != "benchmark"}

    def show(self, form: str) -> None:
        """Prints it to standard output: ``form`` is "table" or "json"."""
        if form == "json":
            print(self.as_json())
        else:
            Console().print(self.as_table())


def latency_ms(latencies: Histogram) -> dict[str, float]:
    """The usual percentiles, by name, in milliseconds."""
    named = {"min": latencies.lowest_ns, "mean": latencies.mean_ns}
    named |= {f"p{percent:g}": latencies.percentile(percent) for percent in PERCENTILES}
    named["max"] = latencies.highest_ns
    return {name: round(value / 1e6, 4) for name, value in named.items()}


def _series(series: Series, seconds: float) -> dict[str, Any]:
    return {
        "requests": series.sent,
        "requests_per_second": round(series.latencies.count / seconds if seconds > 0 else 0.0, 1),
        "latency_ms": latency_ms(series.latencies),
        "errors": dict(series.errors),
    }


def timeline_data(timeline: Timeline) -> list[dict[str, float]]:
    """Plain values, ready for JSON: an object for each interval."""

    def data(row: Row) -> dict[str, float]:
        latencies = {"p50_ms": row.p50_ns, "p99_ms": row.p99_ns, "max_ms": row.highest_ns}
        counted = {"at_s": row.at_s, "seconds": row.seconds, "requests": row.ended, "errors": row.errors}
        return counted | {name: round(value / 1e6, 3) for name, value in latencies.items()}

    return [data(row) for row in timeline.rows()]
