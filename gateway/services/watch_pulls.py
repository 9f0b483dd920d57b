"""Who may ask for history: streams in turn, so many requests at a time, and one for all that ask for the same.

Watches that fall behind together, because a burst was too much for their clients or the replica was replaced, miss the
same; the answer is read and encoded once for them.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, Protocol

from oarlock.gateway.service import Backend, is_error
from oarlock.gateway.services.watch_limits import WatchLimits
from oarlock.gateway.services.watch_messages import History
from oarlock.gateway.services.watcher import Watcher
from oarlock.wire.logs import get_logger

log = get_logger(__name__)


class Puller(Protocol):
    """A stream with watches that are behind. Its turn is over with any of these calls; then it may ask for another."""

    def next_behind(self) -> Watcher | None:
        """The watch to be helped; None if there is none any more, and the turn is over."""

    def history_arrived(self, watcher: Watcher, history: History) -> None:
        """Takes what the watch missed."""

    def history_failed(self, watcher: Watcher, item: Any) -> None:
        """Takes the reply item that says why there is none."""


class Pulls:
    """Gives streams their turns.

    Invariant: a stream is in ``_waiting``, or in ``_under_way`` with one watch, or in neither.
    """

    def __init__(self, backend: Backend, limits: WatchLimits) -> None:
        self._backend = backend
        self._limits = limits
        self._waiting: deque[Puller] = deque()
        self._under_way: dict[tuple[Any, ...], list[tuple[Puller, Watcher]]] = {}
        self._is_running = False

    def ask(self, puller: Puller) -> None:
        """Asks for a turn: ``next_behind`` is called, and if it names a watch, later one of the others."""
        self._waiting.append(puller)
        self._run()

    def _run(self) -> None:
        if self._is_running:
            return  # an answer came at once: the loop below goes on, not deeper
        self._is_running = True
        try:
            while self._waiting and len(self._under_way) < self._limits.pulls:
                puller = self._waiting.popleft()
                watcher = puller.next_behind()
                if watcher is not None:
                    self._pull(puller, watcher)
        finally:
            self._is_running = False

    def _pull(self, puller: Puller, watcher: Watcher) -> None:
        request = watcher.history_request()
        name = tuple(request)
        takers = self._under_way.get(name)
        if takers is not None:
            takers.append((puller, watcher))
            return
        self._under_way[name] = [(puller, watcher)]
        self._backend.submit(request, partial(self._arrived, name))

    def _arrived(self, name: tuple[Any, ...], item: Any) -> None:
        takers = self._under_way.pop(name)
        history = None if is_error(item) else History(self._backend, item)
        for puller, watcher in takers:
            try:
                if history is None:
                    puller.history_failed(watcher, item)
                else:
                    puller.history_arrived(watcher, history)
            except Exception:
                # A mistake of ours. One stream must not cost the others what they wait for.
                log.exception("a watch could not take its history")
        self._run()
