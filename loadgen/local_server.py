"""The processes behind an endpoint on this machine, and what they use: the other side of a load."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil

from oarlock.loadgen.own_server import cpu_s_of, tree_of
from oarlock.wire.process import PARENT_PID


def server_processes(endpoints: Iterable[str]) -> list[psutil.Process]:
    """All processes of the servers that listen at ``endpoints`` ("host:port") on this machine.

    Returns:
        Those who listen, all that they started, and, where a supervisor of ours started them, all that it started;
        nothing where nobody listens here, or where we may not see who.
    """
    here = {"localhost", *(address.address for all_of in psutil.net_if_addrs().values() for address in all_of)}
    asked = {_split(endpoint) for endpoint in endpoints}
    ports = {port for host, port in asked if host in here}
    if not ports:
        return []
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return []
    listening = {
        each.pid
        for each in connections
        if each.pid is not None and each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port in ports
    }
    found = {process.pid: process for pid in listening for process in tree_of(_supervisor_of(pid))}
    return list(found.values())


def server_cpu_us(processes: Iterable[psutil.Process]) -> int:
    """Processor time that they have used since their start, in microseconds."""
    return round(cpu_s_of(processes) * 1e6)


def _split(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port) if port.isdecimal() else 0


def _supervisor_of(pid: int) -> int:
    """The process that started this worker, as it was told itself; of another server, its own."""
    with suppress(psutil.Error, ValueError):
        return int(psutil.Process(pid).environ().get(PARENT_PID, pid))
    return pid
