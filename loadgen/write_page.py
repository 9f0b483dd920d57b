"""Fills docs/performance.md with figures: ``python -m oarlock.loadgen.write_page build/bench.json build/cluster.json``.

The page has a place for each suite, between two marks; what stands there is replaced, the rest stays::

    <!-- bench:cluster -->
    ...
    <!-- /bench -->
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import click

from oarlock.loadgen.figures import markdown

PAGE: Final = "docs/performance.md"
_END: Final = "<!-- /bench -->"


def filled(page: str, suite: str, text: str) -> str:
    """The page with ``text`` in the place of ``suite``.

    Raises:
        ValueError: the page has no such place, or several.
    """
    begin = f"<!-- bench:{suite} -->"
    # The end must be the next mark: a place that is not closed must not swallow the one after it.
    place = re.compile(f"{re.escape(begin)}\n((?!<!-- bench:).)*?{re.escape(_END)}", re.DOTALL)
    count = len(place.findall(page))
    if count != 1 or page.count(begin) != 1:
        raise ValueError(f"the page must have {begin} ... {_END} once, not {count} times")
    return place.sub(lambda _: f"{begin}\n{text.strip()}\n{_END}", page)


def _read(path: Path) -> dict[str, Any]:
    """The document of a suite.

    Raises:
        ValueError: the file is none.
    """
    try:
        figures = json.loads(path.read_text())
    except ValueError as problem:
        raise ValueError(f"{path} is not JSON: {problem}") from None
    if not isinstance(figures, dict) or not {"suite", "machine", "measurements", "comparisons"} <= figures.keys():
        raise ValueError(f"{path} does not hold the figures of a suite")
    return figures


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--page", default=PAGE, show_default=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(files: tuple[Path, ...], page: Path) -> None:
    """Write the figures of FILES, which the suites made, to their places in the page."""
    text = page.read_text()
    try:
        for path in files:
            figures = _read(path)
            text = filled(text, figures["suite"], markdown(figures))
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None
    part = page.with_suffix(".part")
    part.write_text(text)
    os.replace(part, page)


if __name__ == "__main__":
    main()
