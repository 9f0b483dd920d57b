"""The figures of a load for people (a table) and for programs (JSON)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from oarlock.loadgen.driver import Figures
from oarlock.loadgen.histogram import Histogram

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
    """

    benchmark: str
    settings: dict[str, Any]
    figures: Figures
    deliveries: tuple[float, Histogram] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

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
        return data | self.extra

    def as_json(self) -> str:
        """One JSON object, indented."""
        return json.dumps(self.as_data(), indent=2)

    def as_table(self) -> Table:
        """For ``Console.print``."""
        table = Table(title=f"oarlock bench {self.benchmark}", show_header=False)
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in _rows(self.as_data()):
            table.add_row(name, value)
        return table

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


def _rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Flattens ``data``: {"a_b": {"c": 1}} becomes [("a b c", "1")]."""
    rows: list[tuple[str, str]] = []
    for name, value in data.items():
        title = name.replace("_", " ")
        if name == "benchmark":
            continue
        if isinstance(value, dict):
            rows.extend((f"{title} {key}", text) for key, text in _rows(value))
        elif isinstance(value, float):
            rows.append((title, f"{value:,.3f}" if value < 1000 else f"{value:,.0f}"))
        else:
            rows.append((title, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)))
    return rows
