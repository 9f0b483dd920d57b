"""What a suite measured, as a document of plain values: JSON for programs, Markdown for people.

{"suite": "cluster", "machine": {...}, "measurements": [a row each], "comparisons": [a task each]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oarlock.loadgen.comparison import Comparison
from oarlock.loadgen.measurements import Row


def document(
    suite: str, machine: dict[str, Any], rows: Sequence[Row], comparisons: Sequence[Comparison] = ()
) -> dict[str, Any]:
    """All of it as plain values; ``suite`` is the name of its place in docs/performance.md."""
    measurements = [
        {"name": row.name, "value": row.value, "unit": row.unit, "target": row.target} | row.detail for row in rows
    ]
    compared = [comparison.as_data() for comparison in comparisons]
    return {"suite": suite, "machine": machine, "measurements": measurements, "comparisons": compared}


def save(figures: dict[str, Any], output: Path) -> str:
    """Writes ``output`` with .json and .md; returns the Markdown.

    Raises:
        OSError: a file cannot be written.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n")
    text = markdown(figures)
    output.with_suffix(".md").write_text(text)
    return text


def markdown(figures: dict[str, Any]) -> str:
    """The machine and the figures as Markdown."""
    lines = [f"- {name.replace('_', ' ')}: {_shown(value)}" for name, value in figures["machine"].items()]
    if figures["comparisons"]:
        lines += ["", *_comparison_table(figures["comparisons"])]
    if figures["measurements"]:
        lines += ["", "| measurement | result | target |", "|---|---:|---|"]
        lines += [
            f"| {row['name']} | {_figure(row['value'])} {row['unit']} | {row['target']} |"
            for row in figures["measurements"]
        ]
    return "\n".join(lines) + "\n"


def _comparison_table(comparisons: Sequence[dict[str, Any]]) -> list[str]:
    """A line a task and system, and the ratio on the first line of a task."""
    lines = [
        "| load | system | requests/s | median, ms | 99 %, ms | servers, µs | client, µs | ratio (lowest to highest) |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for comparison in comparisons:
        ratio = comparison.get("ratio")
        shown = f"{ratio['median']:.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})" if ratio else ""
        title = comparison["task"]["name"]
        for system, sample in comparison["systems"].items():
            names = ("rate", "p50_ms", "p99_ms", "servers_us", "generator_us")
            cells = " | ".join(_figure(sample[name]) for name in names)
            lines.append(f"| {title} | {system} | {cells} | {shown} |")
            title = shown = ""
    return lines


def _shown(value: Any) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)


def _figure(value: float) -> str:
    """Three digits that matter, and whole numbers above a thousand."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
