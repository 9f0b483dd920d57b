"""What a suite measured, as a document of plain values: JSON for programs, Markdown for people.

{"suite": "cluster", "machine": {...}, "measurements": [a row each], "comparisons": [a task each]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

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
    lines = shown_machine(figures["machine"]).splitlines()
    if figures["comparisons"]:
        lines += ["", *_comparison_table(figures["comparisons"])]
    if figures["measurements"]:
        lines += ["", "| measurement | result | target |", "|---|---:|---|"]
        lines += [
            f"| {row['name']} | {shown_figure(row['value'])} {row['unit']} | {row['target']} |"
            for row in figures["measurements"]
        ]
    return "\n".join(lines) + "\n"


def shown_machine(machine: dict[str, Any]) -> str:
    """A list of what is known of a machine."""
    return "\n".join(f"- {name.replace('_', ' ')}: {_shown(value)}" for name, value in machine.items())


_COLUMNS: Final = {
    "requests/s": "rate",
    "median, ms": "p50_ms",
    "99 %, ms": "p99_ms",
    "servers, µs": "servers_us",
    "client, µs": "generator_us",
}
_RATIOS: Final = {
    "ratio (lowest to highest)": "ratio",
    "of medians": "p50_ratio",
    "of 99 %": "p99_ratio",
}


def _comparison_table(comparisons: Sequence[dict[str, Any]]) -> list[str]:
    """A line a task and system, and the ratios on the first line of a task."""
    names = ["load", "system", *_COLUMNS, *_RATIOS]
    lines = [f"| {' | '.join(names)} |", f"|---|---|{'---:|' * (len(names) - 2)}"]
    for comparison in comparisons:
        title = comparison["task"]["name"]
        ratios = [_ratio(comparison.get(name)) for name in _RATIOS.values()]
        for system, sample in comparison["systems"].items():
            figures = [shown_figure(sample[name]) if sample[name] else "" for name in _COLUMNS.values()]
            lines.append(f"| {' | '.join([title, system, *figures, *ratios])} |")
            title, ratios = "", [""] * len(_RATIOS)
    return lines


def _ratio(ratio: dict[str, float] | None) -> str:
    """The median of a ratio, and its spread."""
    return f"{ratio['median']:.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})" if ratio else ""


def _shown(value: Any) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)


def shown_figure(value: float) -> str:
    """Three digits that matter, and whole numbers above a thousand."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
