"""Runs a session for many threads, without a thread of its own.

Whoever waits first is the leader: it sleeps on the sockets, and completes everybody's requests. The others sleep until
their request is done, or until they are to lead, because the leader's own request was done. So a lone caller pays one
round trip and no hand-over between threads.

The lock guards the session and the sockets. The leader sleeps outside of it, on descriptors only, so that others can
send meanwhile. Their sending may swallow the signal on an edge-triggered descriptor: so whoever held the lock drains
the sockets before it lets go, and wakes the leader (by a pipe) if that concerns it: its request is done, the sockets
are others now, or something is due earlier than it knows.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from threading import Lock
from typing import Any, Final, TypeVar

import zmq

from oarlock.connection import AnyConnection, News
from oarlock.direct_connection import open_connection
from oarlock.link import LinkState
from oarlock.pending import Completion
from oarlock.results import Header
from oarlock.session import Session
from oarlock.settings import Settings
from oarlock.wire.errors import ClosedError, OarlockError
from oarlock.wire.identifiers import new_id

T = TypeVar("T")
DRAIN_LIMIT: Final = 256
"""Messages taken at a time before other threads get the lock."""
MAX_NAP_S: Final = 1.0
"""A follower looks by itself once in a while, so that a leader that was killed by an exception is replaced."""


class Waiter:
    """A thread that waits for its request. ``wake`` is held until the thread is to look."""

    __slots__ = ("done", "error", "result", "wake")

    def __init__(self) -> None:
        self.done = False
        self.result: Any = None
        self.error: OarlockError | None = None
        self.wake = Lock()
        self.wake.acquire()


class Driver:
    """Owns a session, its connection and a pipe; ended by ``close``.

    Invariants:
    1. ``_session``, ``_connection``, ``_followers`` and ``_leader`` are touched only under ``_lock``.
    2. While requests are pending, there is a leader, or a follower that has been woken to become one.
    """

    def __init__(self, settings: Settings) -> None:
        client_id = new_id()
        self._session: Final = Session(settings, client_id, Random(client_id).random)
        self._lock: Final = Lock()
        self._pid: Final = os.getpid()
        self._connection: AnyConnection | None = None
        self._unsent: list[bytes] = []
        self._leader: Waiter | None = None
        self._leader_until = math.inf
        self._followers: Final[dict[Waiter, None]] = {}  # in the order of their coming
        self._poll: select.poll | None = None  # None: the sockets have changed
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._closed = False

    @property
    def revision(self) -> int:
        return self._session.revision

    @property
    def endpoint(self) -> str:
        return self._session.link.endpoint

    def execute(
        self,
        op: int,
        arguments: tuple[Any, ...],
        decode: Callable[[Header, Any], T] | None,
        timeout_s: float,
    ) -> T:
        """Sends one request and waits for its result.

        Raises:
            ClosedError: the client is closed, or belongs to the process that this one was forked from.
            OarlockError: what became of the request, see Session.
        """
        waiter = Waiter()
        with self._lock:
            self._check_open()
            now = time.monotonic()
            self._session.request(op, arguments, decode, waiter, now + timeout_s)
            if self._session.link.state is LinkState.READY:
                self._flush(now)
            else:
                self._advance(now)
            leader = self._leader
            if leader is not None and (leader.done or self._poll is None or now + timeout_s < self._leader_until):
                self._wake_leader()
        if not waiter.done:
            self._wait(waiter)
        if waiter.error is not None:
            raise waiter.error
        result: T = waiter.result
        return result

    def wait_ready(self, timeout_s: float) -> None:
        """Waits until an endpoint has greeted; only for the thread that makes the client.

        Raises:
            ConnectionFailedError: none has within ``timeout_s``.
        """
        end = time.monotonic() + timeout_s
        while True:
            with self._lock:
                self._check_open()
                now = time.monotonic()
                self._advance(now)
                if self._session.link.state is LinkState.READY:
                    return
                if now >= end:
                    raise self._session.unreachable()
                poll = self._poller()
                timeout_ms = _milliseconds(min(self._session.wakeup_at, end) - now)
            poll.poll(timeout_ms)

    def close(self) -> None:
        """Fails what is pending, and closes the sockets. May be repeated, by any thread."""
        if os.getpid() != self._pid:
            return  # a forked child: the sockets are its parent's
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._complete(self._session.close())
            self._close_connection()
            self._wake_leader()
            if self._leader is None:
                self._close_pipe()

    # ---- leading and following

    def _wait(self, waiter: Waiter) -> None:
        while True:
            with self._lock:
                if waiter.done:
                    return
                leads = self._leader is None
                if leads:
                    self._leader = waiter
                    self._followers.pop(waiter, None)
                else:
                    self._followers[waiter] = None
            try:
                if leads:
                    self._lead(waiter)
                else:
                    waiter.wake.acquire(timeout=MAX_NAP_S)
            except BaseException:
                self._abandon(waiter)
                raise

    def _lead(self, waiter: Waiter) -> None:
        """Sleeps on the sockets and does what is due, until its own request is done; then another leads."""
        try:
            while not waiter.done:
                with self._lock:
                    poll, now = self._poller(), time.monotonic()
                    self._leader_until = self._session.wakeup_at
                    timeout_ms = 10 if self._unsent else _milliseconds(self._leader_until - now)
                if waiter.done:
                    break
                signals = poll.poll(timeout_ms)
                with self._lock:
                    if not self._closed:
                        self._react(signals, time.monotonic())
        finally:
            with self._lock:
                self._leader = None
                if self._closed:
                    self._close_pipe()
                self._promote()

    def _abandon(self, waiter: Waiter) -> None:
        """The thread of ``waiter`` was interrupted (Ctrl-C): nobody must count on it."""
        with self._lock:
            self._followers.pop(waiter, None)
            if self._leader is None:
                self._promote()

    def _promote(self) -> None:
        for follower in self._followers:
            self._wake(follower)
            return

    def _wake(self, waiter: Waiter) -> None:
        if waiter in self._followers:
            del self._followers[waiter]
            if waiter.wake.locked():
                waiter.wake.release()

    def _wake_leader(self) -> None:
        with suppress(BlockingIOError):  # full: it will wake up
            os.write(self._wake_write, b"w")

    # ---- the machinery, under the lock

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError()
        if os.getpid() != self._pid:
            raise ClosedError(f"{ClosedError.text}: it belongs to the process that this one was forked from")

    def _react(self, signals: list[tuple[int, int]], now: float) -> None:
        """Takes what the leader was woken for; mostly one reply, and that is the short way."""
        if len(signals) == 1 and self._connection is not None and signals[0][0] == self._connection.fd:
            for frame in self._connection.receive(1):
                self._complete(self._session.receive(frame, now))
            if not self._session.idle:  # else what else there may be can wait: every sender drains
                self._drain(now)
            if self._is_quiet(now) and not self._connection.has_news:
                return
        if any(descriptor == self._wake_read for descriptor, _ in signals):
            os.read(self._wake_read, 4096)
        self._advance(now)

    def _is_quiet(self, now: float) -> bool:
        """Whether nothing else is due than to wait for the next reply."""
        ready = self._session.link.state is LinkState.READY
        return ready and now < self._leader_until and not self._unsent and not self._session.wants_to_send

    def _advance(self, now: float) -> None:
        """Takes what has come, does what is due, sends what can go."""
        session = self._session
        self._drain(now)
        self._take_news(now)
        if now >= session.wakeup_at:
            self._complete(session.tick(now))
        if session.link.state is LinkState.DOWN:
            self._reopen(now)
        self._flush(now)

    def _flush(self, now: float) -> None:
        """Sends what can go, and takes what has come: sending may have swallowed the signal."""
        session = self._session
        while True:
            messages, failed = session.outgoing(now)
            if messages or self._unsent:
                self._unsent.extend(messages)
                self._send()
                self._drain(now)
            if failed:
                self._complete(failed)
            if not messages or not session.wants_to_send:
                return  # else a page has come already, and the next one is to be asked for

    def _drain(self, now: float) -> None:
        connection = self._connection
        while connection is not None:
            frames = connection.receive(DRAIN_LIMIT)
            for frame in frames:
                self._complete(self._session.receive(frame, now))
            if len(frames) < DRAIN_LIMIT:
                return

    def _take_news(self, now: float) -> None:
        connection = self._connection
        for news in connection.news() if connection is not None else ():
            if news is News.UP:
                self._session.connected(now)
            else:
                self._drain(now)  # what came before the end counts
                self._session.lost(now, "connection lost or refused")
                return

    def _send(self) -> None:
        connection = self._connection
        sent = 0
        while connection is not None and sent < len(self._unsent) and connection.send(self._unsent[sent]):
            sent += 1
        del self._unsent[:sent]

    def _complete(self, completions: list[Completion]) -> None:
        for waiter, result, error in completions:
            waiter.result = result
            waiter.error = error
            waiter.done = True
            self._wake(waiter)

    # ---- sockets, under the lock

    def _reopen(self, now: float) -> None:
        self._close_connection()
        if not self._session.link.should_open(now):
            return
        self._session.opened(now)
        try:
            self._connection = open_connection(self.endpoint)
        except (OSError, zmq.ZMQError) as problem:
            self._session.lost(now, str(problem))

    def _poller(self) -> select.poll:
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._wake_read, select.POLLIN)
            if self._connection is not None:
                self._poll.register(self._connection.fd, select.POLLIN)
                if self._connection.monitor_fd is not None:
                    self._poll.register(self._connection.monitor_fd, select.POLLIN)
        return self._poll

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        self._poll = None
        self._unsent.clear()
        if connection is not None:
            connection.close()

    def _close_pipe(self) -> None:
        if self._wake_read >= 0:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1


def _milliseconds(seconds: float) -> int | None:
    """For poll(2): rounded up, so that it does not wake up too early and spin; None is for ever."""
    return None if seconds == math.inf else max(0, math.ceil(seconds * 1000))
