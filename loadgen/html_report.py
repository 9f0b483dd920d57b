"""A report of a load as one HTML file: its figures, latency curves, time lines, settings and machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.pictures import latency_curves, time_line
from oarlock.loadgen.timeline import Timeline

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 54em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td { padding: .1em 1.5em .1em 0; border-bottom: 1px solid #ddd; vertical-align: top }
td + td { text-align: right }
svg { width: 100%; height: auto }
"""


@dataclass(frozen=True, slots=True)
class Charted:
    """What there is to show of a load.

    Attributes:
        benchmark: its name.
        figures: what came of it, by name.
        settings: what was asked for, by name.
        curves: latencies by the kind of request.
        time_lines: of each load, by its title.
    """

    benchmark: str
    figures: Mapping[str, Any]
    settings: Mapping[str, Any]
    curves: Mapping[str, Histogram]
    time_lines: Mapping[str, Timeline] = field(default_factory=dict)


def write_report(charted: Charted, machine: Mapping[str, Any], path: Path) -> None:
    """Writes the report of a load that ran on ``machine`` to ``path``.

    Raises:
        ValueError: matplotlib is missing.
        OSError: the file cannot be written.
    """
    path.write_text(page(charted, machine), encoding="utf-8")


def page(charted: Charted, machine: Mapping[str, Any]) -> str:
    """The report, as HTML that needs no other file and no network.

    Raises:
        ValueError: matplotlib is missing.
    """
    title = escape(f"oarlock bench {charted.benchmark}")
    parts = [f"<h1>{title}</h1>"]
    if any(histogram.count for histogram in charted.curves.values()):
        parts += ["<h2>Latency</h2>", latency_curves(charted.curves)]
    for name, timeline in charted.time_lines.items():
        if rows := list(timeline.rows()):
            parts += [f"<h2>Time line: {escape(name)}</h2>", time_line(name, rows)]
    for name, values in (("Figures", charted.figures), ("Settings", charted.settings), ("Machine", machine)):
        parts += [f"<h2>{name}</h2>", _table(values)]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _table(values: Mapping[str, Any]) -> str:
    rows = (f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in flat(values))
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def flat(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """One level of rows for people: {"a_b": {"c": 1}} becomes [("a b c", "1")]."""
    rows: list[tuple[str, str]] = []
    for name, value in data.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            rows.extend((f"{title} {key}", text) for key, text in flat(value))
        elif isinstance(value, float):
            rows.append((title, f"{value:,.3f}" if value < 1000 else f"{value:,.0f}"))
        else:
            rows.append((title, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)))
    return rows
