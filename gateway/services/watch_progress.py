"""Progress of watches: word from time to time, and on request, that everything up to a revision was delivered."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from oarlock.gateway.proto.rpc_pb2 import WatchResponse
from oarlock.gateway.service import Backend, Exchange, Timer
from oarlock.gateway.services.watch_messages import watch_id_field
from oarlock.gateway.services.watcher import Watcher

JITTER: Final = 0.1
"""Up to this part of the interval is added, so that streams that began together do not go on together (etcd)."""
WATCHES_A_TURN: Final = 1_000
"""Notified before others get their turn: a few milliseconds."""

_ALL_WATCHES: Final = WatchResponse(watch_id=-1).SerializeToString()


class ProgressClock:
    """Tells the client of one stream how far its watches are.

    Whatever is live was sent before, or has been put into the same queue; so what is said here is true when it arrives.

    Invariant: a timer is set only while a watch may want to be notified.

    Args:
        interval_s: between two notifications.
        watchers: of the stream; changed by it.
    """

    __slots__ = ("_backend", "_exchange", "_interval_s", "_timer", "_watchers")

    def __init__(
        self, backend: Backend, exchange: Exchange, interval_s: float, watchers: Mapping[int, Watcher]
    ) -> None:
        self._backend = backend
        self._exchange = exchange
        self._interval_s = interval_s
        self._watchers = watchers
        self._timer: Timer | None = None

    def start(self, watcher: Watcher) -> None:
        """A watch was made."""
        if watcher.wants_progress and self._timer is None:
            self._wait()

    def stop(self) -> None:
        """The stream is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answer(self) -> None:
        """The client has asked: one answer for all watches, if all are caught up; none otherwise (etcd)."""
        self._backend.tell_watchers()
        revision = self._backend.revision
        if self._watchers and all(watcher.is_caught_up(revision) for watcher in self._watchers.values()):
            self._exchange.send(self._backend.header_field(revision) + _ALL_WATCHES)

    def _wait(self) -> None:
        delay_s = self._interval_s * (1 + random.random() * JITTER)
        self._timer = self._backend.call_later(delay_s, self._tick)

    def _tick(self) -> None:
        due = [watcher for watcher in self._watchers.values() if watcher.wants_progress]
        self._notify(iter(due))

    def _notify(self, due: Iterator[Watcher]) -> None:
        self._timer = None
        turn = list(islice(due, WATCHES_A_TURN))
        if not turn:
            if any(watcher.wants_progress for watcher in self._watchers.values()):
                self._wait()
            return
        self._backend.tell_watchers()
        revision = self._backend.revision
        header = self._backend.header_field(revision)
        self._timer = self._backend.call_later(0.0, lambda: self._notify(due))
        for watcher in turn:
            if not watcher.is_quiet:
                watcher.is_quiet = True  # its events told as much; skipped this once (etcd)
            elif not watcher.is_closed and watcher.is_caught_up(revision):
                self._exchange.send(header + watch_id_field(watcher.watch_id))
