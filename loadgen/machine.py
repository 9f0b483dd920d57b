"""What a benchmark ran on: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil

PACKAGES: Final = ("oarlock", "pyzmq", "lmdb", "msgpack", "uvloop")
SYNCS: Final = 200
LOOK_S: Final = 0.5
"""How long is looked at what else the machine is doing: figures from a busy one are too low."""


def describe(directory: Path) -> dict[str, Any]:
    """``describe_host``, the disk below ``directory``, and what else the machine does."""
    return describe_host() | {
        "file_system": _file_system(directory),
        "fdatasync_ms": round(fdatasync_ms(directory), 3),
        "busy_before_percent": psutil.cpu_percent(interval=LOOK_S),
    }


def describe_host() -> dict[str, Any]:
    """Processor, memory, system and versions."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def fdatasync_ms(directory: Path) -> float:
    """The median time of an append of 4 KiB with its fdatasync, in ms: the floor of a durable write."""
    path = directory / "fdatasync.probe"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    path.unlink()
    return sorted(times)[SYNCS // 2] * 1000


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _file_system(directory: Path) -> str:
    """The type of the file system that holds ``directory``: that of the longest mount point above it."""
    path = directory.resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if path.is_relative_to(mount.mountpoint)]
    return max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else "unknown"
