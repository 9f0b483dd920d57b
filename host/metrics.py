"""The files of the metrics (``oarlock.wire.metrics``) over the life of a server and of its processes."""

from __future__ import annotations

import shutil
from pathlib import Path


def prepare(directory: Path) -> None:
    """Makes an empty directory for the files: those of an earlier server say nothing about this one."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)


def forget_process(directory: Path, name: str) -> None:
    """Drops the gauges of a process that has died; its counters stay, and go on when it is started again."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(name, path=str(directory))  # type: ignore[no-untyped-call]
