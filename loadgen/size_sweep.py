"""Puts and reads of values from small to large, and their figures side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from oarlock.loadgen.html_report import Charted
from oarlock.loadgen.job import Job
from oarlock.loadgen.outcome import Figures, Outcome
from oarlock.loadgen.report import latency_ms
from oarlock.loadgen.runner import Load

SWEPT_SIZES: Final = (16, 256, 4 << 10, 64 << 10, 256 << 10, 1 << 20)
"""Bytes. 1 MiB is what fits into a request by default (1.5 MiB)."""
SWEPT_BYTES: Final = 64 << 20
"""Of one size, where nothing else is asked for: old values stay until a compaction, and the default quota is 2 GiB."""
SWEPT_KEYS: Final = 64
SWEPT_PREFIX: Final = b"large/"
"""Not that of other loads, whose later reads would get a MiB each."""

CarryOut = Callable[[Job, int, str], Outcome]
"""Runs (job, processes, title)."""


class SizeSweep:
    """The figures of the sizes measured so far.

    Args:
        load: for puts and for reads of each size.
        options: of both jobs: keys, and ``reads``.
        processes: that share each load.
        seed: see Job.
        settings: what was asked for, for the report.
        bounded: whether the load's total or duration was asked for; else each size gets a total of its own.
    """

    def __init__(
        self,
        load: Load,
        options: dict[str, Any],
        processes: int,
        seed: int,
        settings: dict[str, Any],
        *,
        bounded: bool,
    ) -> None:
        self._load = load
        self._options = options
        self._processes = processes
        self._seed = seed
        self._bounded = bounded
        self.settings = settings
        self.sizes: list[dict[str, Any]] = []
        self.outcomes: dict[str, Outcome] = {}
        """What came of every load, by its title."""

    def measure(self, size: int, carry_out: CarryOut) -> None:
        """Puts values of ``size`` bytes, then reads the same keys.

        Raises: as ``run_job``.
        """
        load, options = self._load_for(size), self._options | {"value_size": size}
        figures = {}
        for name in ("put", "range"):
            title = f"{name}, {size:,} bytes"
            self.outcomes[title] = carry_out(Job(name, load, options, seed=self._seed), self._processes, title)
            figures[name] = _figures(self.outcomes[title].figures(), size)
        self.sizes.append({"value_size_bytes": size} | figures)

    def _load_for(self, size: int) -> Load:
        if self._bounded:
            return self._load
        fitting = SWEPT_BYTES // max(size, 1)
        return replace(self._load, total=max(self._processes, min(fitting, self._load.total or fitting)))

    def show(self, form: str) -> None:
        """Prints all to standard output: ``form`` is "table" or "json"."""
        if form == "json":
            print(json.dumps({"benchmark": "large-values", "settings": self.settings, "sizes": self.sizes}, indent=2))
        else:
            Console().print(self._table())

    def charted(self) -> Charted:
        """For an HTML report."""
        figures = {f"{row['value_size_bytes']:,} bytes": row for row in self.sizes}
        curves = {title: outcome.figures().latencies for title, outcome in self.outcomes.items()}
        time_lines = {title: outcome.timeline for title, outcome in self.outcomes.items()}
        return Charted("large-values", figures, self.settings, curves, time_lines)

    def _table(self) -> Table:
        table = Table(title="oarlock bench large-values")
        for title in ("value, bytes", "load", "a second", "MiB a second", "p50, ms", "p99, ms", "errors"):
            table.add_column(title, justify="left" if title == "load" else "right")
        for row in self.sizes:
            for name in ("put", "range"):
                each = row[name]
                table.add_row(
                    f"{row['value_size_bytes']:,}",
                    name,
                    f"{each['requests_per_second']:,.0f}",
                    f"{each['mib_per_second']:,.2f}",
                    f"{each['latency_ms']['p50']:,.2f}",
                    f"{each['latency_ms']['p99']:,.2f}",
                    f"{sum(each['errors'].values()):,}",
                )
        return table


def _figures(figures: Figures, size: int) -> dict[str, Any]:
    return {
        "seconds": round(figures.seconds, 6),
        "requests": figures.sent,
        "requests_per_second": round(figures.rate, 1),
        "mib_per_second": round(figures.rate * size / (1 << 20), 3),
        "latency_ms": latency_ms(figures.latencies),
        "errors": dict(figures.errors),
        "generator_cpu_us_a_request": round(figures.generator_us, 2),
    }
