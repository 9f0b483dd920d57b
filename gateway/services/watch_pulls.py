"""Who may ask for history: streams in turn, so many at a time."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, Final, Protocol

from oarlock.gateway.service import Backend
from oarlock.gateway.services.watcher import Watcher

MAX_PULLS: Final = 16
"""Requests for history under way: a quarter of the long reads that a worker runs at a time, and it slices them."""


class Puller(Protocol):
    """A stream with watches that are behind."""

    def next_behind(self) -> Watcher | None:
        """The watch to be helped, None if there is none any more; then the stream's turn is over."""

    def history_arrived(self, watcher: Watcher, item: Any) -> None:
        """Takes a reply item; the stream's turn is over. It may ask for another."""


class Pulls:
    """Gives streams their turns.

    Invariant: a stream is in ``_waiting``, or has one request under way, or neither; it never asks twice at a time.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: deque[Puller] = deque()
        self._under_way = 0
        self._is_running = False

    def ask(self, puller: Puller) -> None:
        """Asks for a turn: ``next_behind`` is called, and if it names a watch, later ``history_arrived``."""
        self._waiting.append(puller)
        self._run()

    def _run(self) -> None:
        if self._is_running:
            return  # an answer came at once: the loop below goes on, not deeper
        self._is_running = True
        try:
            while self._waiting and self._under_way < MAX_PULLS:
                puller = self._waiting.popleft()
                watcher = puller.next_behind()
                if watcher is not None:
                    self._under_way += 1
                    self._backend.submit(watcher.history_request(), partial(self._arrived, puller, watcher))
        finally:
            self._is_running = False

    def _arrived(self, puller: Puller, watcher: Watcher, item: Any) -> None:
        self._under_way -= 1
        try:
            puller.history_arrived(watcher, item)
        finally:
            self._run()
