"""The figures of a load that has several phases, each over its own time, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from oarlock.loadgen.html_report import Charted, flat
from oarlock.loadgen.outcome import Figures, Outcome
from oarlock.loadgen.report import latency_ms, timeline_data


@dataclass(frozen=True, slots=True)
class Phases:
    """What the phases gave.

    Attributes:
        benchmark: the name of all of it.
        settings: what was asked for, by name.
        outcome: with a series for each phase.
        seconds: how long each phase took, by its series, in their order.
        extra: further figures by name, units last.
    """

    benchmark: str
    settings: dict[str, Any]
    outcome: Outcome
    seconds: Mapping[str, float]
    extra: dict[str, Any]

    def as_data(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        phases = {name: _figures(self._figures_of(name)) for name in self.seconds}
        return {"benchmark": self.benchmark, "settings": self.settings, "phases": phases} | self.extra

    def show(self, form: str) -> None:
        """Prints all to standard output: ``form`` is "table" or "json"."""
        if form == "json":
            print(json.dumps(self.as_data() | {"timeline": timeline_data(self.outcome.timeline)}, indent=2))
        else:
            Console().print(self._table())
            Console().print(self._further())

    def charted(self) -> Charted:
        """For an HTML report."""
        figures = {name: value for name, value in self.as_data().items() if name not in ("benchmark", "settings")}
        curves = {name: series.latencies for name, series in self.outcome.series.items()}
        return Charted(self.benchmark, figures, self.settings, curves, {self.benchmark: self.outcome.timeline})

    def _figures_of(self, name: str) -> Figures:
        return replace(self.outcome.figures(name), seconds=self.seconds[name])

    def _table(self) -> Table:
        table = Table(title=f"oarlock bench {self.benchmark}", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
        table.add_column("phase")
        for title in ("requests", "seconds", "a second", "p50, ms", "p99, ms", "max, ms", "errors"):
            table.add_column(title, justify="right")
        for name in self.seconds:
            figures = self._figures_of(name)
            latencies = latency_ms(figures.latencies)
            table.add_row(
                name,
                f"{figures.sent:,}",
                f"{figures.seconds:,.2f}",
                f"{figures.rate:,.0f}",
                *(f"{latencies[each]:,.1f}" for each in ("p50", "p99", "max")),
                f"{figures.errors.total():,}",
            )
        return table

    def _further(self) -> Table:
        table = Table(show_header=False, box=box.SIMPLE)
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in flat(self.extra):
            table.add_row(name, value)
        return table


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "seconds": round(figures.seconds, 6),
        "requests": figures.sent,
        "requests_per_second": round(figures.rate, 1),
        "latency_ms": latency_ms(figures.latencies),
        "errors": dict(figures.errors),
    }
