"""Joins the watches of a client to the server: the watch channel of wire/frames.py on an event loop.

One XSUB connection serves all watches of a client, to the address that the greeting names. When it is lost, or the
client has moved to a member with another address, there is a new connection, and every watch asks again on it, under a
new token: an answer to an old one means nothing any more.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from asyncio import Future, TimerHandle
from collections import deque
from functools import partial
from typing import Any, Final

import zmq

from oarlock.aio_driver import DRAIN_LIMIT, Driver
from oarlock.aio_watch import Watch, WatchRequest
from oarlock.connection import Connection, News
from oarlock.link import Link, LinkState
from oarlock.results import Header
from oarlock.session import Greeting
from oarlock.settings import watch_address
from oarlock.watching import Pull
from oarlock.wire.errors import (
    ClosedError,
    ConnectionFailedError,
    LearnerRefusesError,
    OarlockError,
    OverloadedError,
    ProtocolError,
    RequestError,
    ServerError,
    from_wire,
)
from oarlock.wire.frames import TOKEN_BYTES, pack, unpack
from oarlock.wire.operations import Op, WatchFlag

MAX_WATCHES: Final = 1 << 18
"""Of one client: each costs some kilobytes here, and a subscription there."""
MAX_UNANSWERED: Final = 256
"""Watches that ask at a time: their answers fit into the queue that the server has for us, so that none is dropped."""
ANSWER_TIMEOUT_S: Final = 2.0
"""After so long a watch asks again."""
LOOK_INTERVAL_S: Final = 0.1
"""Between looks at what is late: a look costs as much as there are watches that wait to begin."""
PULL_BYTES: Final = 1 << 20
"""Of history in one answer: enough to be efficient, and little enough for others not to wait."""
PULL_TIMEOUT_S: Final = 10.0
PULL_PAUSE_S: Final = 0.1
"""Before history is asked for again after an error."""


class Watches:
    """All watches of one client.

    Invariants:
    1. A watch that has not ended is in exactly one of ``_waiting`` (has to ask), ``_unanswered`` (asked, by token)
       and ``_tokens`` (answered).
    2. ``_topics`` has the watches of ``_tokens`` by the topic of their last answer.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver: Final = driver
        self._loop: Final = asyncio.get_running_loop()
        self._link: Link | None = None
        self._address = ""
        self._connection: Connection | None = None
        self._timer: TimerHandle | None = None
        self._begin_by: Final[dict[Watch, float]] = {}
        self._waiting: Final[deque[Watch]] = deque()
        self._unanswered: Final[dict[bytes, tuple[Watch, float]]] = {}
        self._tokens: Final[dict[bytes, Watch]] = {}
        self._token_of: Final[dict[Watch, bytes]] = {}
        self._topic_of: Final[dict[Watch, bytes]] = {}
        self._topics: Final[dict[bytes, list[Watch]]] = {}
        self._look_at = -math.inf  # when _begin_by and _unanswered are looked through
        self._advance_due = False
        self._read_due = False
        driver.on_greeting(self._greeted)

    def open(
        self,
        key: bytes,
        range_end: bytes,
        start_revision: int,
        *,
        prev_kv: bool,
        no_put: bool,
        no_delete: bool,
        progress_notify: bool,
        timeout_s: float,
    ) -> Watch:
        """A new watch; see ``Client.watch``.

        Raises:
            ClosedError: the client is closed.
            OverloadedError: it has MAX_WATCHES already.
        """
        if self._driver.closed:
            raise ClosedError()
        if len(self._begin_by) + len(self._tokens) >= MAX_WATCHES:
            raise OverloadedError(f"{OverloadedError.text}: a client has {MAX_WATCHES} watches at most")
        flags = prev_kv * WatchFlag.PREV_KV + no_put * WatchFlag.NO_PUT + no_delete * WatchFlag.NO_DELETE
        watch = Watch(self, WatchRequest(key or b"\0", range_end, int(flags)), start_revision, progress_notify)
        self._begin_by[watch] = self._driver.now() + timeout_s
        self._waiting.append(watch)
        self._schedule()
        return watch

    def close(self) -> None:
        """Ends all watches with ClosedError."""
        if self._timer is not None:
            self._timer.cancel()
        self._close_connection()
        for watch in {*self._waiting, *self._begin_by, *self._token_of}:
            watch.fail(ClosedError())

    # ---- what watches need

    def header(self, revision: int) -> Header:
        return self._driver.header(revision)

    def ended(self, watch: Watch) -> None:
        self._begin_by.pop(watch, None)
        self._forget(watch)

    def pull(self, watch: Watch, pull: Pull) -> None:
        request = watch.request
        arguments = (request.key, request.flags, request.range_end, pull.start_revision, pull.min_revision, PULL_BYTES)
        try:
            future = self._driver.submit(Op.WATCH_HISTORY, arguments, None, PULL_TIMEOUT_S)
        except OarlockError:  # closed, or overloaded by its owner
            self._pull_later(watch, pull)
        else:
            future.add_done_callback(partial(self._pulled, watch, pull))

    def _pulled(self, watch: Watch, pull: Pull, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is None and not future.cancelled():
            try:
                events, next_revision = future.result()
                check_events(events)
            except (TypeError, ValueError) as problem:
                watch.fail(ServerError(f"oarlock: a history is not of the protocol: {problem}"))
                return
            if next_revision > pull.start_revision:
                watch.apply(watch.watcher.pulled(pull.number, events, next_revision))
                return
        if isinstance(error, RequestError):
            watch.fail(error)
        else:
            self._pull_later(watch, pull)

    def _pull_later(self, watch: Watch, pull: Pull) -> None:
        def again() -> None:
            if not self._driver.closed:
                watch.apply(watch.watcher.pull_failed(pull.number))

        self._loop.call_later(PULL_PAUSE_S * (0.5 + random.random()), again)

    # ---- joining

    def _greeted(self, greeting: Greeting, endpoint: str) -> None:
        address = watch_address(greeting.watch_endpoint, endpoint)
        if address != self._address:
            self._address = address
            self._link = Link((address,), ANSWER_TIMEOUT_S, random.random)
            self._close_connection()
            self._rejoin_all()
        self._advance()

    def _schedule(self) -> None:
        if not self._advance_due:
            self._advance_due = True
            self._loop.call_soon(self._advance)

    def _advance(self) -> None:
        """Does all that is due: the connection, watches that have to ask, those that got no answer."""
        self._advance_due = False
        if self._driver.closed:
            return
        now, link = self._driver.now(), self._link
        if now >= self._look_at:
            self._give_up(now)
        if link is not None:
            if link.state is LinkState.CONNECTING and now >= link.give_up_at:
                self._lost(now, "no connection in time")
            if self._has_watches and link.should_open(now):
                self._open(link, now)
            if link.state is LinkState.READY:
                self._ask(now)
        self._arm(now)

    @property
    def _has_watches(self) -> bool:
        return bool(self._waiting or self._token_of)

    def _give_up(self, now: float) -> None:
        """Ends watches that did not begin in time, and lets those ask again that got no answer."""
        self._look_at = now + LOOK_INTERVAL_S
        problem = (self._link.problem if self._link is not None else "") or "no answer"
        for watch in [watch for watch, due in self._begin_by.items() if due <= now]:
            watch.fail(ConnectionFailedError(f"oarlock: the watch did not begin in time ({self._address}: {problem})"))
        late = [watch for watch, asked_at in self._unanswered.values() if now - asked_at >= ANSWER_TIMEOUT_S]
        for watch in late:
            self._forget(watch)
            self._waiting.append(watch)

    def _ask(self, now: float) -> None:
        while self._waiting and len(self._unanswered) < MAX_UNANSWERED:
            watch = self._waiting.popleft()
            token = os.urandom(TOKEN_BYTES)
            self._unanswered[token] = (watch, now)
            self._token_of[watch] = token
            self._say(b"\x01", watch, token)

    def _say(self, verb: bytes, watch: Watch, token: bytes) -> None:
        request = watch.request
        if self._connection is not None:
            self._connection.send(verb + pack([token, request.key, request.range_end, request.flags]))
            self._read_soon()

    def _forget(self, watch: Watch) -> None:
        """Takes a watch off the connection, and out of every table."""
        token = self._token_of.pop(watch, None)
        if token is None:
            if watch in self._waiting:
                self._waiting.remove(watch)
            return
        self._say(b"\x00", watch, token)
        self._unanswered.pop(token, None)
        self._tokens.pop(token, None)
        self._leave_topic(watch)

    def _leave_topic(self, watch: Watch) -> None:
        topic = self._topic_of.pop(watch, None)
        if topic is not None:
            members = self._topics[topic]
            members.remove(watch)
            if not members:
                del self._topics[topic]

    def _rejoin_all(self) -> None:
        self._waiting.extend(self._token_of)
        for table in (self._token_of, self._unanswered, self._tokens, self._topic_of, self._topics):
            table.clear()

    # ---- what comes

    def _take(self, frame: bytes, now: float) -> None:
        topic = frame[:TOKEN_BYTES]
        members = self._topics.get(topic)
        if members is None and topic not in self._unanswered and topic not in self._tokens:
            return  # of a watch that has ended
        try:
            body = unpack(memoryview(frame)[TOKEN_BYTES:])
            if members is None:
                self._answered(topic, *body)
                return
            previous, revision, events = body
            check_events(events)
            for watch in list(members):
                watch.apply(watch.watcher.live(topic, previous, revision, events))
        except (ProtocolError, TypeError, ValueError):
            self._lost(now, "sent a message that is none of the protocol")

    def _answered(self, token: bytes, code: int, answer: Any, number: int) -> None:
        check_answer(code, answer, number)
        asked = self._unanswered.pop(token, None)
        watch = asked[0] if asked is not None else self._tokens[token]
        if code:
            error = from_wire(code, answer, number)
            moves = isinstance(error, LearnerRefusesError) and self._driver.leave("is a learner")
            if isinstance(error, RequestError) and not moves:
                watch.fail(error)
            else:
                self._unanswered[token] = (watch, self._driver.now() - ANSWER_TIMEOUT_S + PULL_PAUSE_S)
            return
        self._tokens[token] = watch
        self._leave_topic(watch)
        self._topic_of[watch] = answer
        self._topics.setdefault(answer, []).append(watch)
        self._begin_by.pop(watch, None)
        effects = watch.watcher.answered(answer, number, self._driver.revision)
        watch.joined()
        watch.apply(effects)

    # ---- the connection

    def _open(self, link: Link, now: float) -> None:
        link.opened(now)
        try:
            connection = Connection(self._address, zmq.XSUB)
        except zmq.ZMQError as problem:
            link.lost(now, str(problem))
            return
        self._connection = connection
        self._loop.add_reader(connection.fd, self._on_readable)
        self._loop.add_reader(connection.monitor_fd, self._on_news)
        self._loop.call_soon(self._on_news)

    def _read_soon(self) -> None:
        """After sending, which may swallow the signal that something came, and where there may be more."""
        if not self._read_due:
            self._read_due = True
            self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        self._read_due = False
        connection = self._connection
        if connection is None:
            return
        frames, now = connection.receive(DRAIN_LIMIT), self._driver.now()
        for frame in frames:
            self._take(frame, now)
        if len(frames) == DRAIN_LIMIT:
            self._read_soon()
        if self._waiting:
            self._advance()

    def _on_news(self) -> None:
        connection, link = self._connection, self._link
        if connection is None or link is None:
            return
        for news in connection.news():
            if news is News.LOST:
                self._lost(self._driver.now(), "connection lost or refused")
                break
            if link.connected():
                link.greeted()
                link.proven()
        self._advance()

    def _lost(self, now: float, problem: str) -> None:
        if self._link is not None and self._link.state is not LinkState.DOWN:
            self._link.lost(now, problem)
        self._close_connection()
        self._rejoin_all()

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._loop.remove_reader(connection.fd)
            self._loop.remove_reader(connection.monitor_fd)
            connection.close()

    def _arm(self, now: float) -> None:
        due = self._look_at if self._begin_by or self._unanswered else math.inf
        if self._link is not None and self._has_watches:
            due = min(due, self._link.wakeup_at)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._advance) if due < math.inf else None


def check_answer(code: Any, answer: Any, number: Any) -> None:
    """Looks at the shape of the answer to a watch request. Raises ValueError where it is none."""
    if type(code) is not int or type(number) is not int or type(answer) is not (str if code else bytes):
        raise ValueError("no answer to a watch")


def check_events(events: Any) -> None:
    """Looks at the shape of events, so that nobody stumbles over them later.

    Raises:
        ValueError: not a list of events as in wire/operations.py.
    """
    if type(events) is not list:
        raise ValueError("events in no list")
    for kind, kv, previous in events:
        if kind not in (0, 1) or len(kv) != 6 or type(kv[0]) is not bytes or type(kv[3]) is not int:
            raise ValueError("an event that is none")
        if previous is not None and len(previous) != 6:
            raise ValueError("a previous kv that is none")
