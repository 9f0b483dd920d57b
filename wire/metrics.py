"""Metrics of one process, in files that the supervisor adds up.

prometheus-client's multiprocess mode: every process writes its values into memory-mapped files in one directory, and
the supervisor serves their sum. Files are named by process name (``worker-0``), not by process id as the library does
by default: a worker that is started again goes on with its counters, and restarts leave no files behind.

A change of a value costs about a microsecond, an observation two or three: count per batch, not per request. Every
label value costs memory in every process: keep labels few. Without a supervisor (tests, tools) values live in memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram, values

from oarlock.wire import process

SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Buckets for durations in seconds, from a fast fdatasync to a stuck disk."""
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Buckets for numbers of things in a batch."""

REGISTRY: Final = prometheus_client.CollectorRegistry()
"""The metrics of this process, for tests; the supervisor reads the files."""

if process.METRICS_DIRECTORY in os.environ:
    # Before the first metric is made, since every value asks this class where to live. It asks for the name at every
    # change, in case of a fork; there is none, and a look into the environment takes twice as long as the rest.
    _NAME: Final = process.process_name()
    values.ValueClass = values.MultiProcessValue(lambda: _NAME)  # type: ignore[no-untyped-call]


def counter(name: str, help: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows: ``oarlock_<what>_total``.

    Args:
        name: in Prometheus' manner, beginning with ``oarlock_`` and ending in ``_total``.
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


def _checked(name: str) -> str:
    if not name.startswith("oarlock_"):
        raise ValueError(f"a metric of ours begins with oarlock_, not {name!r}")
    return name
