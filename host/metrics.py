"""The server's metrics: the sum of what its processes wrote into the files of ``oarlock.wire.metrics``.

prometheus-client is imported when first needed: it costs 4 MB, and a server that nobody scrapes need not pay.
"""

from __future__ import annotations

import shutil
from pathlib import Path


def prepare(directory: Path) -> None:
    """Makes an empty directory for the files: those of an earlier server say nothing about this one."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)


def exposition(directory: Path) -> tuple[bytes, str]:
    """All metrics as Prometheus' text, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def forget_process(directory: Path, name: str) -> None:
    """Drops the gauges of a process that has died; its counters stay, and go on when it is started again."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(name, path=str(directory))  # type: ignore[no-untyped-call]
