"""Runs a session on an asyncio (or uvloop) event loop.

The descriptors of the ZeroMQ sockets are readers of the loop. They are edge-triggered: whoever wakes up, or has sent,
drains what is there and looks again (``Connection.receive``). What was issued in one turn of the loop is sent at its
end, by a callback that ``submit`` schedules once.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final

import zmq

from oarlock.connection import AnyConnection, News
from oarlock.direct_connection import open_connection
from oarlock.link import LinkState
from oarlock.pending import Completion
from oarlock.results import Header
from oarlock.session import Greeting, Session
from oarlock.settings import Settings
from oarlock.wire.errors import ClosedError
from oarlock.wire.identifiers import new_id

DRAIN_LIMIT: Final = 64
"""Messages that one turn of the loop takes, so that other tasks get theirs."""


class Driver:
    """Owns a session, its connection, and one timer; ended by ``close``."""

    def __init__(self, settings: Settings, seen_revision: int = 0) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self.now: Final[Callable[[], float]] = self._loop.time
        client_id = new_id()
        self._session: Final = Session(settings, client_id, Random(client_id).random, seen_revision=seen_revision)
        self._connection: AnyConnection | None = None
        self._unsent: Final[deque[bytes]] = deque()  # at most what is pending: libzmq takes more as it sends
        self._flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._ready: Final[list[Future[None]]] = []
        self._greeting_listeners: Final[list[Callable[[Greeting, str], None]]] = []
        self._greeting: Greeting | None = None
        self.closed = False
        self._advance()

    @property
    def revision(self) -> int:
        return self._session.revision

    def header(self, revision: int) -> Header:
        """A header for what did not come as a reply: the member and term that were seen last."""
        return self._session.header(revision)

    def saw_revision(self, revision: int) -> None:
        """Another client of the same owner has seen ``revision``."""
        self._session.revision = max(self._session.revision, revision)

    @property
    def endpoint(self) -> str:
        return self._session.link.endpoint

    def submit(
        self,
        op: int,
        arguments: tuple[Any, ...],
        decode: Callable[[Header, Any], Any] | None,
        timeout_s: float,
    ) -> Future[Any]:
        """Puts a request in flight, together with all others of this turn of the loop.

        Raises:
            ClosedError: the client is closed.
            OverloadedError: too many requests are pending.
        """
        if self.closed:
            raise ClosedError()
        future: Future[Any] = self._loop.create_future()
        self._session.request(op, arguments, decode, future, self.now() + timeout_s)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._advance)
        return future

    async def wait_ready(self, timeout_s: float) -> None:
        """Waits until an endpoint has greeted.

        Raises:
            ConnectionFailedError: none has within ``timeout_s``.
            ClosedError: the client is closed.
        """
        if self.closed:
            raise ClosedError()
        if self._session.link.state is LinkState.READY:
            return
        future: Future[None] = self._loop.create_future()
        self._ready.append(future)
        try:
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise self._session.unreachable() from None
        finally:
            if future in self._ready:
                self._ready.remove(future)

    def on_greeting(self, listener: Callable[[Greeting, str], None]) -> None:
        """Calls ``listener(greeting, endpoint)`` now, if one has greeted, and after every further greeting."""
        self._greeting_listeners.append(listener)
        if self._greeting is not None:
            listener(self._greeting, self.endpoint)

    def leave(self, problem: str) -> bool:
        """Goes on at another endpoint; False, and stays, where there is none."""
        if not self._session.has_alternative:
            return False
        self._session.lost(self.now(), problem)
        self._schedule()
        return True

    def close(self) -> None:
        """Fails what is pending, and closes the sockets. May be repeated."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._close_connection()
        self._complete(self._session.close())
        for future in self._ready:
            if not future.done():
                future.set_exception(ClosedError())

    # ---- the machinery

    def _advance(self) -> None:
        """Does all that is due: time, connection, messages. Called whenever something may have changed."""
        self._flush_due = False
        if self.closed:
            return
        session, now = self._session, self.now()
        if now >= session.wakeup_at:
            self._on_readable()  # a loop that was held up first hears what came in time
            self._complete(session.tick(now))
        if session.link.state is LinkState.DOWN:
            self._reopen(now)
        if session.greeting is not self._greeting:
            self._greeted()
        messages, failed = session.outgoing(now)
        if messages:
            self._unsent.extend(messages)
        if failed:
            self._complete(failed)
        if self._unsent:
            self._send()
        self._arm(now)

    def _send(self) -> None:
        connection, unsent = self._connection, self._unsent
        while unsent and connection is not None and connection.send(unsent[0]):
            unsent.popleft()
        self._on_readable()  # sending may have swallowed the signal that something came

    def _arm(self, now: float) -> None:
        """One timer, at the earliest time that anything is due; it is only ever moved forward."""
        due = self._session.wakeup_at
        if self._unsent:
            due = min(due, now + 0.01)  # libzmq is full: it does not say when there is room
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due  # kept here: uvloop gives a plain handle for what is due at once
        self._timer = self._loop.call_at(due, self._on_timer) if due < float("inf") else None

    def _on_timer(self) -> None:
        self._timer = None
        self._advance()

    def _on_readable(self) -> None:
        connection = self._connection
        if connection is None:
            return
        frames = connection.receive(DRAIN_LIMIT)
        if not frames:
            if connection.has_news:
                self._on_news()
            return
        session, now = self._session, self.now()
        for frame in frames:
            self._complete(session.receive(frame, now))
        if len(frames) == DRAIN_LIMIT:
            self._loop.call_soon(self._on_readable)
        if session.link.state is LinkState.DOWN or session.greeting is not self._greeting or session.wants_to_send:
            self._schedule()

    def _on_news(self) -> None:
        connection, session = self._connection, self._session
        if connection is None:
            return
        for news in connection.news():
            if news is News.UP:
                session.connected(self.now())
            else:
                while frames := connection.receive(DRAIN_LIMIT):  # what came before the end counts
                    for frame in frames:
                        self._complete(session.receive(frame, self.now()))
                session.lost(self.now(), "connection lost or refused")
                break
        self._schedule()

    def _schedule(self) -> None:
        if not self._flush_due and not self.closed:
            self._flush_due = True
            self._loop.call_soon(self._advance)

    def _greeted(self) -> None:
        self._greeting = greeting = self._session.greeting
        assert greeting is not None
        for future in self._ready:
            if not future.done():
                future.set_result(None)
        for listener in self._greeting_listeners:
            listener(greeting, self.endpoint)

    @staticmethod
    def _complete(completions: list[Completion]) -> None:
        for waiter, result, error in completions:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(result)
            else:
                waiter.set_exception(error)

    # ---- sockets

    def _reopen(self, now: float) -> None:
        self._close_connection()
        if not self._session.link.should_open(now):
            return
        self._session.opened(now)
        try:
            connection = open_connection(self.endpoint)
        except (OSError, zmq.ZMQError) as problem:
            self._session.lost(now, str(problem))
            return
        self._connection = connection
        self._loop.add_reader(connection.fd, self._on_readable)
        if connection.monitor_fd is not None:
            self._loop.add_reader(connection.monitor_fd, self._on_news)
        self._loop.call_soon(self._on_news)  # what happened before the readers were there

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        self._unsent.clear()
        if connection is not None:
            self._loop.remove_reader(connection.fd)
            if connection.monitor_fd is not None:
                self._loop.remove_reader(connection.monitor_fd)
            connection.close()
