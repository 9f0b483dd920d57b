"""Metrics of one process, in files that the supervisor adds up.

prometheus-client's multiprocess mode: every process writes its values into memory-mapped files in one directory, and
the supervisor serves their sum. Files are named by process name (``worker-0``), not by process id as the library does
by default: a worker that is started again goes on with its counters, and restarts leave no files behind.

A change of a value costs about a microsecond, an observation two or three: count per batch, not per request. Every
label value costs memory in every process: keep labels few. Without a supervisor (tests, tools) values live in memory.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec
from typing import Final

from oarlock.wire import process

# The package imports its own HTTP server, and with it mail, TLS and asyncio: a fifth of what a process of ours takes to
# start. Its parts that keep values need nothing of that, and are imported as if it were empty. Whoever imports
# prometheus_client later (wire.exposition, at the first scrape) gets it whole, with these parts in it.
_IS_FIRST: Final = "prometheus_client" not in sys.modules
if _IS_FIRST and (_found := find_spec("prometheus_client")) is not None:
    sys.modules["prometheus_client"] = module_from_spec(_found)
try:
    from prometheus_client import values
    from prometheus_client.metrics import Counter, Gauge, Histogram
    from prometheus_client.registry import CollectorRegistry
finally:
    if _IS_FIRST:
        sys.modules.pop("prometheus_client", None)

SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Buckets for durations in seconds, from a fast fdatasync to a stuck disk."""
PREFIXES: Final = ("oarlock_", "etcd_", "grpc_server_", "process_", "os_fd_")
"""Our own metrics, and those that etcd's dashboards and alerts know, under its names."""
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Buckets for numbers of things in a batch."""

REGISTRY: Final = CollectorRegistry()
"""The metrics of this process, for tests; the supervisor reads the files."""

if process.METRICS_DIRECTORY in os.environ:
    # Before the first metric is made, since every value asks this class where to live. It asks for the name at every
    # change, in case of a fork; there is none, and a look into the environment takes twice as long as the rest.
    _NAME: Final = process.process_name()
    values.ValueClass = values.MultiProcessValue(lambda: _NAME)  # type: ignore[no-untyped-call]


def counter(name: str, help: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows: ``oarlock_<what>_total``.

    Args:
        name: in Prometheus' manner, beginning with one of ``PREFIXES`` and ending in ``_total``.
        help: one line.
        labels: label names, few, with few values each.
    """
    return Counter(_checked(name), help, labels, registry=REGISTRY)


def gauge(name: str, help: str, labels: Sequence[str] = (), *, combine: str = "livesum") -> Gauge:
    """A number that goes up and down.

    Args:
        combine: how the processes' values become one: ``livesum``, ``livemax``, ``livemin``, ``livemostrecent``, or
            ``liveall`` for one series a process (label ``pid``, which holds the process name). A dead process's value
            leaves with it.
    """
    return Gauge(_checked(name), help, labels, multiprocess_mode=combine, registry=REGISTRY)  # type: ignore[arg-type]


def histogram(name: str, help: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = SECONDS) -> Histogram:
    """A distribution, by default of seconds.

    Args:
        buckets: upper bounds in ascending order, in the metric's unit.
    """
    return Histogram(_checked(name), help, labels, buckets=buckets, registry=REGISTRY)


def doubling(first: float, count: int) -> tuple[float, ...]:
    """Buckets as etcd has them: ``count`` upper bounds, each twice the one before it."""
    return tuple(first * 2**power for power in range(count))


def observe_all(observed: Histogram, amounts: Sequence[float]) -> None:
    """As ``observed.observe`` for each amount, at the price of a few, where many have gathered.

    The library has no call for that: its buckets and its sum are filled directly.
    """
    if not amounts:
        return
    bounds, buckets = observed._upper_bounds, observed._buckets
    for place, count in Counts(bisect_left(bounds, amount) for amount in amounts).items():
        buckets[place].inc(count)
    observed._sum.inc(sum(amounts))


class Growth:
    """Brings a counter up to a total that somebody else keeps as a plain number, which costs next to nothing.

    Args:
        counter: nobody else adds to it.
    """

    __slots__ = ("_counted", "_counter")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._counted = 0.0

    def reach(self, total: float) -> None:
        """Adds what ``total`` has grown by since the last call; one that has fallen has begun anew."""
        grown = total - self._counted if total >= self._counted else total
        self._counted = total
        if grown:
            self._counter.inc(grown)


def _checked(name: str) -> str:
    if not name.startswith(PREFIXES):
        raise ValueError(f"a metric begins with one of {', '.join(PREFIXES)}, not {name!r}")
    return name
