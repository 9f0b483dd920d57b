"""Pictures of a load, as SVG: latency curves, time lines, and how figures grow. They take matplotlib.

matplotlib is in the extra ``report`` and not needed to measure; nothing imports it before a picture is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from math import nan
from typing import TYPE_CHECKING, Any, Final

from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.timeline import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE: Final = (8.4, 3.6)
_TALL: Final = (8.4, 5.0)
_PAIR: Final = (8.4, 3.1)
"""Inches; 72 points each in SVG."""
_NINES: Final = (0.0, 90.0, 99.0, 99.9, 99.99, 99.999)
"""Percentiles at equal distances: each has a tenth of the requests of the one before above it."""
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",  # text stays text: a third of the size, and a reader can search it
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def check_pictures() -> None:
    """Raises ValueError where matplotlib is missing, with what to do about it."""
    if find_spec("matplotlib") is None:
        raise ValueError("pictures take matplotlib, which is not here: pip install 'oarlock[report]'")


def latency_curves(latencies: Mapping[str, Histogram]) -> str:
    """Latency by percentile, a curve for each name; both axes logarithmic, so that the slowest can be seen.

    Args:
        latencies: at least one with a count.

    Raises:
        ValueError: matplotlib is missing.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        last = _position(_NINES[1])
        for name, histogram in latencies.items():
            if histogram.count:
                positions, milliseconds = _curve(histogram)
                axes.plot(positions, milliseconds, label=name, drawstyle="steps-post")
                last = max(last, positions[-1])
        axes.set(xscale="log", yscale="log", ylabel="latency, ms", xlabel="percentile of requests")
        shown = [percent for percent in _NINES if _position(percent) <= last]
        axes.set_xticks([_position(percent) for percent in shown], [f"{percent:g} %" for percent in shown])
        axes.set_xlim(1, last)
        _finish(axes)
        axes.legend()

    return _drawn(_WIDE, "latency curves", draw)


def time_line(title: str, rows: Sequence[Row]) -> str:
    """Answers and errors a second above, latencies below, over the seconds of a load.

    Args:
        title: of the load.
        rows: at least one.

    Raises:
        ValueError: matplotlib is missing.
    """
    at_s = [row.at_s + row.seconds / 2 for row in rows]
    marker = "o" if len(rows) == 1 else ""

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(at_s, [(row.ended - row.errors) / row.seconds for row in rows], label="answers", marker=marker)
        if any(row.errors for row in rows):
            above.plot(at_s, [row.errors / row.seconds for row in rows], label="errors", color="tab:red", marker=marker)
        above.set(ylabel="a second", ylim=(0, None))
        for name, field in (("median", "p50_ns"), ("99 %", "p99_ns"), ("longest", "highest_ns")):
            values = [getattr(row, field) / 1e6 or nan for row in rows]  # where nothing ended is a gap
            below.plot(at_s, values, label=name, marker=marker)
        below.set(ylabel="latency, ms", xlabel="seconds since the start", yscale="log")
        for axes in (above, below):
            _finish(axes)
            axes.legend()

    return _drawn(_TALL, f"time line of {title}", draw)


def growth(
    title: str,
    x_label: str,
    at: Sequence[float],
    rates: Mapping[str, Sequence[float]],
    p99_ms: Mapping[str, Sequence[float]],
) -> str:
    """Throughput on the left and the 99th percentile on the right, by what grows.

    Args:
        title: the picture's name.
        x_label: what grows.
        at: its points, above 0.
        rates: a second, at each point, by the name of a load.
        p99_ms: the same names.

    Raises:
        ValueError: matplotlib is missing.
    """

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for axes, series, label in ((left, rates, "a second"), (right, p99_ms, "99th percentile, ms")):
            for name, values in series.items():
                axes.plot(at, values, label=name, marker="o", markersize=3)
            axes.set(xscale="log", xlabel=x_label, ylabel=label)
            if _spread(series):
                axes.set_yscale("log")
            else:
                axes.set_ylim(0, None)
            axes.set_xticks(list(at), [short(value) for value in at])
            _finish(axes)
        names = {
            name: line for axes in (left, right) for line, name in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(names.values()), list(names), loc="outside lower center", ncols=len(names))

    return _drawn(_PAIR, title, draw)


def short(value: float) -> str:
    """A number as people write it: 1000 is "1 K", 1048576 is "1 Mi" as 65536 is "64 Ki"."""
    for unit, size in (("Mi", 1 << 20), ("Ki", 1 << 10), ("M", 10**6), ("K", 10**3)):
        if value >= size and value % size == 0:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def _drawn(size: tuple[float, float], title: str, draw: Callable[[Figure], None]) -> str:
    """The svg element of a figure that ``draw`` draws into: the same text for the same figures.

    Its ids are made from ``title``, so that two pictures on a page do not mix.

    Raises:
        ValueError: matplotlib is missing.
    """
    check_pictures()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    text = io.StringIO()
    style: Any = _STYLE | {"svg.hashsalt": title}
    with rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _element(text.getvalue())


def _element(document: str) -> str:
    """The svg element of an XML document, without what stands before it, blanks at ends of lines, and metadata."""
    element = document[document.index("<svg") :]
    element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return re.sub(r"[ \t]+$", "", element, flags=re.MULTILINE)


def _position(percent: float) -> float:
    """Where a percentile stands on the logarithmic axis: 90 at 10, 99 at 100."""
    return 100 / (100 - percent)


def _curve(histogram: Histogram) -> tuple[list[float], list[float]]:
    """(positions, ms): where each latency begins, up to the one that is alone above all others."""
    positions, milliseconds = [1.0], [histogram.lowest_ns / 1e6]
    seen = 0
    for middle_ns, count in histogram.buckets():
        positions.append(histogram.count / (histogram.count - seen))
        milliseconds.append(min(max(middle_ns, histogram.lowest_ns), histogram.highest_ns) / 1e6)
        seen += count
    return [*positions, float(histogram.count)], [*milliseconds, histogram.highest_ns / 1e6]


def _spread(series: Mapping[str, Sequence[float]]) -> bool:
    """Whether the figures need a logarithmic axis: none is 0, and they span more than ten times."""
    values = [value for each in series.values() for value in each]
    return min(values) > 0 and max(values) > 10 * min(values)


def _finish(axes: Axes) -> None:
    """Numbers instead of powers of ten, and enough of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.minorticks_off()
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
