"""How well a server is, from what its processes report: the answers of etcd's health pages, without I/O."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final, NamedTuple

from oarlock.wire.version import ETCD_VERSION, VERSION


class Health(NamedTuple):
    """What the pages are made of.

    Attributes:
        workers: how many there are to be.
        workers_ready: how many of them serve.
        leader: whether the coordinator knows a leader.
        alarms: etcd's names (``NOSPACE``, ``CORRUPT``).
        is_learner: whether this member does not vote, and so refuses most requests; None where that is not known, and
            not looked at.
        read_error: why a read through the quorum failed just now; empty if it did not, or nobody tried.
    """

    workers: int
    workers_ready: int
    leader: bool
    alarms: Collection[str] = ()
    is_learner: bool | None = None
    read_error: str = ""

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
        return f"RANGE ERROR:{self.read_error}" if self.read_error and not serializable else ""

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


LIVE_CHECKS: Final = ("serializable_read",)
"""What ``/livez`` looks at."""
READY_CHECKS: Final = ("data_corruption", "linearizable_read", "non_learner", "serializable_read")
"""What ``/readyz`` looks at."""


def health_page(health: Health, *, excluded: Collection[str] = (), serializable: bool = False) -> Page:
    """``/health``: etcd's JSON, whose values are strings; 503 if the server is not healthy."""
    reason = health.reason(excluded=excluded, serializable=serializable)
    body = json.dumps({"health": "false" if reason else "true", "reason": reason}, separators=(",", ":"))
    return Page(503, "application/json", body + "\n") if reason else Page(200, "application/json", body)


def live_page(health: Health, *, excluded: Collection[str] = (), verbose: bool = False) -> Page:
    """``/livez``: whether the server is worth keeping; if not, restart it."""
    return checks_page(health, LIVE_CHECKS, excluded=excluded, verbose=verbose)


def ready_page(health: Health, *, excluded: Collection[str] = (), verbose: bool = False) -> Page:
    """``/readyz``: whether the server is worth sending requests to."""
    return checks_page(health, READY_CHECKS, excluded=excluded, verbose=verbose)


def checks_page(
    health: Health, checks: Collection[str], *, excluded: Collection[str] = (), verbose: bool = False
) -> Page:
    """The page of ``checks`` without the excluded ones: 503 and all of them if one fails, else ``ok``.

    Args:
        verbose: name them in any case.
    """
    unasked = {*excluded, "non_learner"} if health.is_learner is None else excluded
    failures = {check: _failure(health, check) for check in checks if check not in unasked}
    lines = [f"[-]{check} failed: {text}" if text else f"[+]{check} ok" for check, text in failures.items()]
    if any(failures.values()):
        return Page(503, "text/plain", "\n".join(lines) + "\n")
    return Page(200, "text/plain", "\n".join([*lines, "ok"] if verbose else ["ok"]) + "\n")


def _failure(health: Health, check: str) -> str:
    if check == "data_corruption":
        return "alarm activated: CORRUPT" if "CORRUPT" in health.alarms else ""
    if check == "non_learner":
        return "not supported for learner" if health.is_learner else ""
    if check == "linearizable_read" and not health.leader:
        return "RAFT NO LEADER"
    if check == "linearizable_read" and health.read_error:
        return health.read_error
    return "" if health.workers_ready else "no worker is ready"


def version_page() -> Page:
    """``/version``: etcd's two versions, and ours."""
    versions = {"etcdserver": ETCD_VERSION, "etcdcluster": ETCD_VERSION, "oarlock": VERSION}
    return Page(200, "application/json", json.dumps(versions, separators=(",", ":")))
