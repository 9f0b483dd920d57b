"""How well a server is, from what its processes report: the answers of etcd's health pages, without I/O."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final, NamedTuple


class Health(NamedTuple):
    """What the pages are made of.

    ``alarms`` holds etcd's names (``NOSPACE``, ``CORRUPT``). ``leader`` says whether the coordinator knows a leader.
    """

    workers: int
    workers_ready: int
    leader: bool
    alarms: Collection[str] = ()

    def reason(self, *, excluded: Collection[str] = (), serializable: bool = False) -> str:
        """Why the server is not healthy, in etcd's words and order (alarms, leader, read); empty if it is.

        Args:
            excluded: alarms that do not count.
            serializable: ask only whether a read without the quorum would be answered.
        """
        for alarm in sorted(self.alarms):
            if alarm not in excluded:
                return f"ALARM {alarm}"
        if not serializable and not self.leader:
            return "RAFT NO LEADER"
        if not self.workers_ready:
            return "RANGE ERROR:no worker is ready"
        return ""

    @property
    def status(self) -> str:
        """One line for people."""
        leader = "leader known" if self.leader else "no leader"
        alarms = f", alarms: {' '.join(sorted(self.alarms))}" if self.alarms else ""
        return f"{self.workers_ready} of {self.workers} workers ready, {leader}{alarms}"


class Page(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str
    body: str


_LIVE_CHECKS: Final = ("serializable_read",)
_READY_CHECKS: Final = ("data_corruption", "linearizable_read", "serializable_read")


def health_page(health: Health, *, excluded: Collection[str] = (), serializable: bool = False) -> Page:
    """``/health``: etcd's JSON, whose values are strings; 503 if the server is not healthy."""
    reason = health.reason(excluded=excluded, serializable=serializable)
    body = json.dumps({"health": "false" if reason else "true", "reason": reason}, separators=(",", ":"))
    return Page(503, "application/json", body + "\n") if reason else Page(200, "application/json", body)


def live_page(health: Health, *, excluded: Collection[str] = (), verbose: bool = False) -> Page:
    """``/livez``: whether the server is worth keeping; if not, restart it."""
    return _checks_page(health, _LIVE_CHECKS, excluded, verbose)


def ready_page(health: Health, *, excluded: Collection[str] = (), verbose: bool = False) -> Page:
    """``/readyz``: whether the server is worth sending requests to."""
    return _checks_page(health, _READY_CHECKS, excluded, verbose)


def _checks_page(health: Health, checks: Collection[str], excluded: Collection[str], verbose: bool) -> Page:
    failures = {check: _failure(health, check) for check in checks if check not in excluded}
    lines = [f"[-]{check} failed: {text}" if text else f"[+]{check} ok" for check, text in failures.items()]
    if any(failures.values()):
        return Page(503, "text/plain", "\n".join(lines) + "\n")
    return Page(200, "text/plain", "\n".join([*lines, "ok"] if verbose else ["ok"]) + "\n")


def _failure(health: Health, check: str) -> str:
    if check == "data_corruption":
        return "alarm activated: CORRUPT" if "CORRUPT" in health.alarms else ""
    if check == "linearizable_read" and not health.leader:
        return "RAFT NO LEADER"
    return "" if health.workers_ready else "no worker is ready"
