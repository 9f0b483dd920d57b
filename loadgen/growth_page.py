"""Tables and pictures of docs/performance.md: ``python -m oarlock.loadgen.growth_page build/growth.json``.

The page has a place for each sweep, as for every suite (see ``write_page``), and one for the machine; the pictures go
to a folder beside the page.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import click

from oarlock.loadgen.figures import shown_figure, shown_machine
from oarlock.loadgen.growth import PACED
from oarlock.loadgen.pictures import growth, short
from oarlock.loadgen.write_page import PAGE, filled

FOLDER: Final = "growth"
_MIB: Final = 1 << 20


def table(name: str, sweep: dict[str, Any]) -> str:
    """The figures of a sweep, as Markdown: a line a point."""
    sized = name == "value-size"
    each = ["a second", *(["MiB a second"] if sized else []), "median, ms", "99 %, ms", "client, µs"]
    loads = list(sweep["points"][0]["loads"])
    titles = [sweep["unit"], *(f"{load}: {title}" if title == each[0] else title for load in loads for title in each)]
    lines = [f"| {' | '.join(titles)} |", "|" + "---:|" * len(titles)]
    for point in sweep["points"]:
        cells = [short(point["at"])]
        for cell in point["loads"].values():
            cells.append(shown_figure(cell["rate"]))
            cells += [shown_figure(cell["rate"] * point["at"] / _MIB)] if sized else []
            cells += [shown_figure(cell[name]) for name in ("p50_ms", "p99_ms", "generator_us")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(name: str, sweep: dict[str, Any]) -> str:
    """The figures of a sweep, as SVG.

    Raises:
        ValueError: matplotlib is missing.
    """
    points = sweep["points"]
    series = {
        figure: {load: [point["loads"][load][figure] for point in points] for load in points[0]["loads"]}
        for figure in ("rate", "p99_ms")
    }
    series["rate"].pop(PACED, None)  # which is what it was told to be
    return growth(name, sweep["unit"], [point["at"] for point in points], series["rate"], series["p99_ms"])


def write(figures: dict[str, Any], page: Path) -> None:
    """Puts tables into ``page``, and pictures beside it.

    Raises:
        ValueError: the page has no place for a sweep, or matplotlib is missing.
        OSError: a file cannot be written.
    """
    text = filled(page.read_text(), FOLDER, shown_machine(figures["machine"]))
    pictures = {name: picture(name, sweep) for name, sweep in figures["sweeps"].items()}
    for name, sweep in figures["sweeps"].items():
        link = f"![Throughput and 99th percentile by {sweep['unit']}]({FOLDER}/{name}.svg)"
        text = filled(text, f"{FOLDER}-{name}", f"{table(name, sweep)}\n\n{link}")
    folder = page.parent / FOLDER
    folder.mkdir(exist_ok=True)
    for name, svg in pictures.items():
        (folder / f"{name}.svg").write_text(svg)
    part = page.with_suffix(".part")
    part.write_text(text)
    os.replace(part, page)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--page", default=PAGE, show_default=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(file: Path, page: Path) -> None:
    """Write the figures of FILE, which growth_suite made, to their places in the page."""
    try:
        write(json.loads(file.read_text()), page)
    except (ValueError, KeyError) as problem:
        raise click.ClickException(f"{file}: {problem}") from None


if __name__ == "__main__":
    main()
