"""`oarlock serve`: one process that starts, watches, restarts and stops the others, and speaks for them.

Starting: lock the data directory, start the coordinator and the workers, listen for health and metrics; the server is
ready when every process has said so. Stopping: the workers first, so that what they have under way can still be
committed, then the coordinator; each wait has a bound, and what does not stop by itself is killed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oarlock.gateway.health_pages import Health
from oarlock.host import announce, data_directory
from oarlock.host.keeper import Keeper
from oarlock.host.notify import Notifier
from oarlock.host.settings import Settings
from oarlock.host.spawn import Program, Surroundings, programs
from oarlock.host.watchdog import CHECK_INTERVAL_S
from oarlock.wire import commit_word, logs
from oarlock.wire.errors import ConfigurationError
from oarlock.wire.process import EXIT_FATAL
from oarlock.wire.taken_ports import refuse_if_taken

if TYPE_CHECKING:
    from oarlock.host.http import HttpServer

log = logs.get_logger(__name__)

WORKER_DRAIN_S: Final = 5.0
"""How long workers may finish what is under way: a request that takes longer is retried by its client elsewhere."""
COORDINATOR_DRAIN_S: Final = 6.0
"""How long the coordinator may take to sync and close the log, when no worker asks for anything any more."""
EXIT_FORCED: Final = 1


def run(settings: Settings, children: Sequence[Program] | None = None) -> int:
    """Runs a server until it is told to stop, by SIGTERM, SIGINT or SIGHUP, or cannot go on.

    Args:
        settings: what to run.
        children: the programs to run instead of the real ones, for tests.

    Returns:
        The exit code: 0 after an orderly stop, ``EXIT_FATAL`` where no restart can help, 1 after a second signal.

    Raises:
        ConfigurationError: the data directory is in use or unusable, or an address cannot be listened on.
    """
    logs.configure("supervisor", level=settings.log_level, format=settings.log_format)
    directory = data_directory.claim(Path(settings.data_dir))
    word = commit_word.create()
    try:
        if children is None:
            _refuse_taken_ports(settings)
        if settings.join:
            from oarlock.host import join  # with the client: only who joins pays

            settings = join.prepare(settings)
        surroundings = Surroundings(settings, directory.metrics, (directory.lock.fileno(),), word)
        notifier = Notifier.from_environment(os.environ)
        return asyncio.run(_serve(surroundings, children or programs(settings), notifier))
    finally:
        if word is not None:
            os.close(word)
        directory.lock.release()


def _refuse_taken_ports(settings: Settings) -> None:
    """Workers share their ports, and would share them with another server as well; and nobody should be started for a
    server that cannot listen for its metrics."""
    for flag, urls in (
        ("listen-client-urls", settings.listen_client_urls),
        ("listen-native-urls", settings.listen_native_urls),
        ("listen-watch-urls", settings.listen_watch_urls),
        ("listen-metrics-urls", settings.listen_metrics_urls),
    ):
        for url in urls:
            try:
                refuse_if_taken(url)
            except ConfigurationError as problem:
                raise ConfigurationError(f"{flag}: {problem.message}") from problem


async def _serve(surroundings: Surroundings, children: Sequence[Program], notifier: Notifier) -> int:
    return await Supervisor(surroundings, children, notifier).serve()


class Supervisor:
    """The children of one server, and what the server as a whole is: starting, ready, stopping.

    Invariants:
    1. Every child has exactly one `Keeper`; none is alive when `serve` returns.
    2. The service manager hears READY once, and WATCHDOG only while the coordinator and some worker are alive.
    """

    def __init__(self, surroundings: Surroundings, children: Sequence[Program], notifier: Notifier) -> None:
        self._settings = surroundings.settings
        self._surroundings = surroundings
        self._notifier = notifier
        keepers = [Keeper(program, surroundings, self._on_change, self._give_up) for program in children]
        self._workers = [keeper for keeper in keepers if keeper.program.is_worker]
        self._coordinators = [keeper for keeper in keepers if not keeper.program.is_worker]
        self._is_listening = False
        self._announced = False
        self._stop = asyncio.Event()
        self._fatal_reason: str | None = None
        self._forced = False
        self._joining: asyncio.Task[None] | None = None

    @property
    def _keepers(self) -> list[Keeper]:
        return [*self._coordinators, *self._workers]

    async def serve(self) -> int:
        """Starts the children, keeps them running, and stops them when told to. Returns the exit code."""
        self._handle_signals()
        try:
            for keeper in self._keepers:
                keeper.start()
            http = await self._start_http()  # behind them: they need the time that it takes to load
            try:
                self._is_listening = True
                self._on_change()
                self._join()
                await self._watch()
                await self._stop_children()
            finally:
                if self._joining:
                    self._joining.cancel()
                if http:
                    await http.stop()
        finally:
            await self._kill_children()
        return self._exit_code()

    def _join(self) -> None:
        if self._settings.join:
            from oarlock.host import join

            own_endpoints = map(announce.local_endpoint, self._settings.listen_native_urls[:1])
            self._joining = asyncio.create_task(join.become_voter(self._settings, *own_endpoints))

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup: to outlive the terminal is what was asked for
            numbers.remove(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._stop.is_set():
            log.info("stopping", signal=number.name)
            self._stop.set()
            return
        log.warning("stopping at once", signal=number.name)
        self._forced = True
        for keeper in self._keepers:
            keeper.kill()

    async def _start_http(self) -> HttpServer | None:
        if not self._settings.listen_metrics_urls:
            return None
        from oarlock.host.http import HttpServer  # aiohttp costs 12 MB: only a server that listens pays

        server = HttpServer(self._settings.listen_metrics_urls, self._health, self._surroundings.metrics)
        await server.start()
        return server

    async def _watch(self) -> None:
        """Looks after the children until the server is to stop."""
        gc.collect()
        gc.freeze()
        ping_due_s = 0.0
        while not self._stop.is_set():
            now_s = time.monotonic()
            for keeper in self._keepers:
                keeper.check(now_s)
            interval_s = self._notifier.watchdog_interval_s
            if interval_s and now_s >= ping_due_s and self._alive():
                ping_due_s = now_s + interval_s - CHECK_INTERVAL_S
                self._notifier.alive()
            await _wait(self._stop, min(CHECK_INTERVAL_S, interval_s or CHECK_INTERVAL_S))

    def _alive(self) -> bool:
        return all(keeper.alive for keeper in self._coordinators) and any(keeper.alive for keeper in self._workers)

    def _health(self) -> Health:
        alarms = frozenset(alarm for keeper in self._keepers for alarm in keeper.alarms)
        leader = any(keeper.leader for keeper in self._coordinators)
        return Health(len(self._workers), sum(keeper.ready for keeper in self._workers), leader, alarms)

    def _on_change(self) -> None:
        if self._stop.is_set():
            return
        # A worker that dies again and again must not keep the others from being announced.
        awaited = [keeper for keeper in self._keepers if not keeper.policy.flapping or not keeper.program.is_worker]
        is_ready = self._is_listening and all(keeper.ready for keeper in awaited)
        if not self._announced and is_ready and not self._health().reason():
            self._announced = True
            self._notifier.ready()
            announce.ready(self._settings)
        self._notifier.status(self._health().status)

    def _give_up(self, reason: str) -> None:
        log.error("the server cannot go on", reason=reason)
        self._fatal_reason = self._fatal_reason or reason
        self._stop.set()

    async def _stop_children(self) -> None:
        self._notifier.stopping()
        self._notifier.status("stopping")
        await asyncio.gather(*(worker.stop(WORKER_DRAIN_S) for worker in self._workers))
        await asyncio.gather(*(coordinator.stop(COORDINATOR_DRAIN_S) for coordinator in self._coordinators))
        log.info("stopped")

    async def _kill_children(self) -> None:
        await asyncio.gather(*(keeper.stop(0.0) for keeper in self._keepers))

    def _exit_code(self) -> int:
        if self._fatal_reason:
            return EXIT_FATAL
        return EXIT_FORCED if self._forced else 0


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
