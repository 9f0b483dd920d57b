"""What Prometheus' clients tell of a process, added up over the processes of a server."""

from __future__ import annotations

import os
import resource
import time
from typing import Final

from oarlock.wire import metrics

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_resident_bytes = metrics.gauge("process_resident_memory_bytes", "Resident memory in bytes.")
_virtual_bytes = metrics.gauge("process_virtual_memory_bytes", "Virtual memory in bytes.")
_cpu_seconds = metrics.counter("process_cpu_seconds_total", "Processor time in seconds.")
_start_seconds = metrics.gauge("process_start_time_seconds", "Start, in Unix seconds.", combine="livemin")
_open_descriptors = metrics.gauge("process_open_fds", "Open file descriptors.")
_most_descriptors = metrics.gauge("process_max_fds", "Most open file descriptors of a process.", combine="livemin")
_used_descriptors = metrics.gauge("os_fd_used", "Open file descriptors.")
_descriptor_limit = metrics.gauge("os_fd_limit", "Most open file descriptors of a process.", combine="livemin")


class ProcessMetrics:
    """This process; the coordinator and every worker have one. A look costs some 50 us: take it every few seconds."""

    def __init__(self) -> None:
        self._cpu = metrics.Growth(_cpu_seconds)
        _start_seconds.set(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + _started_after_boot_s())

    def look(self) -> None:
        """Brings the metrics up to date."""
        with open("/proc/self/statm", encoding="ascii") as file:
            virtual_pages, resident_pages = map(int, file.readline().split()[:2])
        _resident_bytes.set(resident_pages * _PAGE_BYTES)
        _virtual_bytes.set(virtual_pages * _PAGE_BYTES)
        self._cpu.reach(time.process_time())
        descriptors, limit = _descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        for used, most in ((_open_descriptors, _most_descriptors), (_used_descriptors, _descriptor_limit)):
            used.set(descriptors)
            most.set(limit)


def _descriptors() -> int:
    """How many are open. Linux tells the number as the folder's size since 6.2, and 0 before; to list ten thousand
    of them takes several ms."""
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))


def _started_after_boot_s() -> float:
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        # The name, in brackets, may hold anything; start time is the 20th field after it.
        fields = file.read().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")
