"""Keeping one child running: start, listen, watch, start again. A thin driver over the policies."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from oarlock.host.metrics import forget_process
from oarlock.host.restarts import Exit, RestartPolicy
from oarlock.host.spawn import Child, Program, Surroundings, spawn
from oarlock.host.watchdog import Watchdog
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

_LAST_WORDS_S: Final = 2.0
"""A hung child gets SIGABRT, for a core dump where those are on, and this much later SIGKILL."""


class Keeper:
    """Keeps one child running until told to stop, and knows how it is.

    Invariants:
    1. While not stopping, there is either a running child or a timer that will start one.
    2. `ready`, `leader` and `alarms` speak of the running child only: they are gone when it is.

    Args:
        program: what to run.
        surroundings: what it inherits.
        changed: called after anything that `ready`, `alive`, `leader` or `alarms` say may have changed.
        gave_up: called with one line when no restart can help; the server has to stop.
    """

    def __init__(
        self,
        program: Program,
        surroundings: Surroundings,
        changed: Callable[[], None],
        gave_up: Callable[[str], None],
    ) -> None:
        self.program = program
        self.policy = RestartPolicy()
        self._surroundings = surroundings
        self._changed = changed
        self._gave_up = gave_up
        self._loop = asyncio.get_running_loop()
        self._child: Child | None = None
        self._watchdog = Watchdog(0.0)
        self._hung = False
        self._stopping = False
        self._ended = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._forget_child()

    def _forget_child(self) -> None:
        self._hung = False
        self.ready = False
        self.leader = False
        self.alarms: tuple[str, ...] = ()
        self._fatal_reason: str | None = None

    @property
    def alive(self) -> bool:
        """Whether its process runs and has not gone silent."""
        return self._child is not None and not self._hung

    @property
    def pid(self) -> int | None:
        """The process id, or None between two lives."""
        return self._child.pid if self._child else None

    def start(self, *, rebuild: bool = False) -> None:
        """Starts the child."""
        self._timer = None
        now_s = time.monotonic()
        self.policy.started(now_s)
        try:
            child = spawn(self.program, self._surroundings, rebuild=rebuild)
        except OSError as error:  # no process or memory to be had just now: the same as dying at once
            log.error("child could not be started", child=self.program.name, error=str(error))
            self._start_again(Exit(1))
            return
        self._child = child
        self._watchdog = Watchdog(now_s)
        self._loop.add_reader(child.pidfd, self._on_exit)
        self._loop.add_reader(child.reports.fileno(), self._on_reports)
        log.debug("child started", child=self.program.name, child_pid=child.pid, rebuild=rebuild)

    def _on_reports(self) -> None:
        child = self._child
        if child is None:
            return
        reports = child.read_reports()
        if not reports:  # it closed its end: its exit will tell more
            self._loop.remove_reader(child.reports.fileno())
            return
        self._watchdog.heard(time.monotonic())
        for report in reports:
            self._take(report)
        self._changed()

    def _take(self, report: dict[str, Any]) -> None:
        event = report.get("event")
        if event == "ready" and not self.ready:
            self.ready = True
            self.policy.became_ready()
            log.info("child ready", child=self.program.name, child_pid=self.pid)
        elif event == "stopping":
            self.ready = False
        elif event == "fatal":
            self._fatal_reason = str(report.get("reason"))
        self.leader = bool(report.get("leader", self.leader))
        self.alarms = tuple(map(str, report.get("alarms", self.alarms)))

    def check(self, now_s: float) -> None:
        """Kills the child if it has gone silent; to be called every ``CHECK_INTERVAL_S``."""
        if self._child is None or self._hung or self._stopping or not self._watchdog.expired(now_s):
            return
        log.error("child hangs", child=self.program.name, child_pid=self.pid, patience_s=self._watchdog.patience_s)
        self._hung = True
        self.ready = False
        self._child.signal(signal.SIGABRT)
        self._loop.call_later(_LAST_WORDS_S, self._kill, self._child)
        self._changed()

    def _kill(self, child: Child) -> None:
        if self._child is child:
            child.signal(signal.SIGKILL)

    def _on_exit(self) -> None:
        child = self._child
        code = child.exit_code() if child else None
        if child is None or code is None:
            return
        for report in child.read_reports():
            self._take(report)
        end, reason = Exit(code, self._hung), self._fatal_reason
        self._loop.remove_reader(child.pidfd)
        self._loop.remove_reader(child.reports.fileno())
        child.close()
        self._child = None
        self._forget_child()
        forget_process(self._surroundings.metrics, self.program.name)
        self._settle(end, reason)
        self._changed()

    def _settle(self, end: Exit, reason: str | None) -> None:
        if self._stopping:
            self._ended.set()
        elif end.fatal:
            self._gave_up(f"{self.program.name}: {reason or end}")
        else:
            self._start_again(end)

    def _start_again(self, end: Exit) -> None:
        restart = self.policy.died(time.monotonic(), end)
        log.warning(
            "child died",
            child=self.program.name,
            reason=str(end),
            restart_in_s=restart.delay_s,
            rebuild=restart.rebuild,
        )
        if restart.flapping:
            log.error("child keeps dying", child=self.program.name, deaths=self.policy.deaths, reason=str(end))
        self._timer = self._loop.call_later(restart.delay_s, lambda: self.start(rebuild=restart.rebuild))

    async def stop(self, patience_s: float) -> None:
        """Asks the child to stop, waits, then forces it; returns when it is gone and reaped.

        Args:
            patience_s: how long it may take to finish what is under way.
        """
        self._stopping = True
        if self._timer:
            self._timer.cancel()
        if self._child is None:
            return
        self._child.signal(signal.SIGTERM)
        self._child.signal(signal.SIGCONT)  # a stopped process could not see the first signal
        try:
            await asyncio.wait_for(self._ended.wait(), patience_s)
        except TimeoutError:
            log.warning("child does not stop and is killed", child=self.program.name, patience_s=patience_s)
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """Kills the child at once, without a restart."""
        self._stopping = True
        if self._child is not None:
            self._child.signal(signal.SIGKILL)
