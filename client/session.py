"""The conversation of one client with the cluster, without I/O and without a clock.

A driver puts requests in and takes messages out, puts messages in and takes completions out, and says what time it is.
The rules of the envelope (sequence, floor, since) are those of wire/frames.py.

What becomes of a request:

1. ``request`` gives it a sequence number and queues it. ``outgoing`` packs all that is queued into one message.
2. If the connection is lost, what was sent and not answered is queued again. It travels with ``since``, so that a
   write that was applied the first time is answered from memory, and not applied again.
3. If the server refuses it for now (no leader, overloaded), it is queued again after a pause. If it is a learner, and
   there is another endpoint, the session goes on there.
4. Its deadline ends it, whatever its state. Of a write that was sent, the outcome is then unknown.

Worked example: a put is sent while the highest position seen is 7, and the connection breaks. The put is sent again on
the next connection with since = 7: "you may have applied this after 7". A server that remembers outcomes only back to 9
refuses it (OutcomeUnknownError); one that remembers them back to 7 either knows its outcome or knows that it has none.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from oarlock.link import Link, LinkState
from oarlock.paging import NextPage, Pages
from oarlock.pending import Completion, Pending, error_of, is_decided, is_of_the_moment, leaves_doubt, parts
from oarlock.results import Header
from oarlock.settings import Settings
from oarlock.wire.errors import (
    ClosedError,
    CompactedError,
    ConnectionFailedError,
    LearnerRefusesError,
    NoLeaderError,
    OarlockError,
    OverloadedError,
    ProtocolError,
    ServerError,
    StoppedError,
    TimeoutError,
)
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import PROTOCOL_VERSION, Op

MAX_PENDING: Final = 1 << 18
"""Requests that may wait at a time: some 100 MB of small ones, and seconds of work for any server."""
MAX_MESSAGE_BYTES: Final = 1 << 20
"""Bytes of a message with more than one request, likewise."""
MAX_SILENCE_S: Final = 4.0
"""A connection on which nothing has come for so long, though something is awaited, is given up."""
PING_AFTER_S: Final = 1.0
"""After so long a silence the server is greeted again: one that only works on something long answers that."""
MIN_RETRY_PAUSE_S: Final = 0.01
MAX_RETRY_PAUSE_S: Final = 0.5

_MALFORMED: Final = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)
"""What comes of taking apart what is not of the protocol's shape."""
_new = tuple.__new__


class Greeting(NamedTuple):
    """What the server said when it was greeted."""

    cluster_id: int
    member_id: int
    incarnation: int
    watch_endpoint: str


class Session:
    """See the module.

    Invariants:
    1. A pending request is in exactly one place: queued (``_fresh``, ``_again``), paused (``_paused``), or sent.
    2. ``revision`` and ``position`` never fall.
    3. Only a greeting is sent before the greeting is answered; so the position is known when a write is first sent.
    """

    def __init__(
        self, settings: Settings, client_id: int, random: Callable[[], float], *, seen_revision: int = 0
    ) -> None:
        self.link: Final = Link(settings.endpoints, settings.connect_timeout_s, random)
        self.greeting: Greeting | None = None
        self.revision = seen_revision
        self.position = 0
        self._settings: Final = settings
        self._client_id: Final = client_id
        self._random: Final = random
        self._numbers: Final = itertools.count(1)
        self._last_number = 0
        self._floor = 1
        self._pending: Final[dict[int, Pending]] = {}
        self._fresh: list[Pending] = []
        self._fresh_until = 0.0  # the latest deadline among _fresh
        self._again: list[Pending] = []
        self._paused: Final[list[tuple[float, int, Pending]]] = []
        self._hello = 0  # the sequence number of a greeting that is not answered
        self._hello_due = False
        self._heard_at = -math.inf
        self._next_deadline = math.inf  # no pending request has an earlier one
        self._unwelcome = ""  # why to leave the endpoint once the present frame is taken apart
        self._ids: tuple[int, int] = (0, 0)
        self._term = 0

    def header(self, revision: int) -> Header:
        """A header with the member and term that were seen last."""
        return Header(*self._ids, revision, self._term)

    # ---- requests

    def request(
        self,
        op: int,
        arguments: tuple[Any, ...],
        decode: Callable[[Header, Any], Any] | None,
        waiter: Any,
        deadline: float,
    ) -> None:
        """Queues a request.

        Args:
            op: an operation of wire/operations.py.
            arguments: in wire order.
            decode: makes the result of header and raw result; None leaves it raw.
            waiter: comes back in the Completion.
            deadline: on the driver's clock.

        Raises:
            OverloadedError: MAX_PENDING requests are under way.
        """
        if len(self._pending) >= MAX_PENDING:
            raise OverloadedError(f"{OverloadedError.text}: {MAX_PENDING} requests of this client are under way")
        self._last_number = number = next(self._numbers)
        pending = Pending([number, op, *arguments], decode, waiter, deadline)
        self._pending[number] = pending
        self._fresh.append(pending)
        if deadline > self._fresh_until:
            self._fresh_until = deadline
        if deadline < self._next_deadline:
            self._next_deadline = deadline

    def outgoing(self, now: float) -> tuple[list[bytes], list[Completion]]:
        """All messages that can go now, and what cannot be sent because it is no msgpack value."""
        messages: list[bytes] = []
        failed: list[Completion] = []
        if self._hello_due:
            messages.append(self._pack_hello())
        if self.link.state is not LinkState.READY or not (self._fresh or self._again):
            return messages, failed
        if len(self._pending) == len(self._fresh) + len(self._again) + len(self._paused):
            self._heard_at = now  # nothing was under way: silence begins to count now
        if self._again:
            queue, self._again = [pending for pending in self._again if pending.waiter is not None], []
            for pending in queue:
                pending.sent = True
            for part in parts(queue):
                since = max(1, min(pending.since for pending in part))  # 0 would say that it is sent for the first time
                self._pack(part, since, max(pending.deadline for pending in part) - now, messages, failed)
        if self._fresh:
            queue, self._fresh = self._fresh, []
            for pending in queue:
                pending.since = self.position
                pending.sent = True
            for part in parts(queue):
                self._pack(part, 0, self._fresh_until - now, messages, failed)
            self._fresh_until = 0.0
        return messages, failed

    def _pack(
        self, part: list[Pending], since: int, timeout_s: float, messages: list[bytes], failed: list[Completion]
    ) -> None:
        """Packs a message, or several, or finds the one request that cannot be packed."""
        envelope = [self._client_id, self._current_floor(), since, max(1, int(timeout_s * 1000))]
        try:
            message = pack([*envelope, [pending.request for pending in part]])
        except (TypeError, ValueError, OverflowError, RecursionError) as problem:
            if len(part) == 1:
                error = ProtocolError(f"{ProtocolError.text}: {problem}")
                failed.append(self._complete(part[0], error))
                return
            message = None
        if message is None or (len(message) > MAX_MESSAGE_BYTES and len(part) > 1):
            middle = len(part) // 2
            self._pack(part[:middle], since, timeout_s, messages, failed)
            self._pack(part[middle:], since, timeout_s, messages, failed)
            return
        messages.append(message)

    def _current_floor(self) -> int:
        """The lowest number that is awaited; moves up past each number once."""
        floor, pending = self._floor, self._pending
        while floor <= self._last_number and floor not in pending:
            floor += 1
        self._floor = floor
        return floor

    def _pack_hello(self) -> bytes:
        self._hello_due = False
        self._hello = self._last_number = next(self._numbers)
        timeout_ms = max(1, int(self._settings.connect_timeout_s * 1000))
        hello = [self._hello, int(Op.HELLO), PROTOCOL_VERSION, self._settings.name]
        message: bytes = pack([self._client_id, self._current_floor(), 0, timeout_ms, [hello]])
        return message

    # ---- replies

    def receive(self, frame: bytes, now: float) -> list[Completion]:
        """Takes a message from the server apart; a message that is none costs the connection."""
        completions: list[Completion] = []
        self._heard_at = now
        try:
            term, position, replies = unpack(frame)
            if position > self.position:
                self.position = position
            self._term = term
            self._take(term, replies, now, completions)
            if self._unwelcome:
                self.lost(now, self._unwelcome)
        except (ProtocolError, *_MALFORMED) as problem:
            self.lost(now, f"sent a message that is none of the protocol ({problem})")
        return completions

    def _take(self, term: int, replies: list[Any], now: float, completions: list[Completion]) -> None:
        pop = self._pending.pop
        ids = self._ids
        pending: Pending | None = None
        try:
            for reply in replies:
                pending = pop(reply[0], None)
                if pending is None:
                    self._take_other(reply, now)
                    ids = self._ids
                    continue
                revision = reply[1]
                if revision < 0:
                    self._refused(pending, error_of(reply), now, completions)
                    continue
                if revision > self.revision:
                    self.revision = revision
                result = reply[2]
                waiter, pending.waiter = pending.waiter, None
                if pending.decode is not None:
                    try:
                        result = pending.decode(_new(Header, (*ids, revision, term)), result)
                    except _MALFORMED as problem:
                        error = ServerError(f"oarlock: a result is not of the protocol: {problem!r}")
                        completions.append(_new(Completion, (waiter, None, error)))
                        continue
                    if type(result) is NextPage:
                        self._ask_on(pending, waiter, result)
                        continue
                completions.append(_new(Completion, (waiter, result, None)))
        except _MALFORMED:
            if pending is not None and pending.waiter is not None:  # this reply was none: it is awaited as before
                self._pending[pending.request[0]] = pending
            raise
        if completions:
            self.link.proven()

    def _take_other(self, reply: list[Any], now: float) -> None:
        """The answer to a greeting, or to a message that nobody could read; anything else is late, and forgotten."""
        number, revision = reply[0], reply[1]
        if number == 0:
            self._told(reply, now)
        elif number == self._hello:
            self._hello = 0
            if revision < 0:
                self.lost(now, f"refused the greeting: {reply[2]}")
            else:
                self.revision = max(self.revision, revision)
                self._greeted(reply[2], now)

    def _told(self, reply: list[Any], now: float) -> None:
        """The server says something that answers no request: it has no leader, or could not read a message."""
        if not isinstance(error_of(reply), NoLeaderError):
            self.lost(now, f"could not read a message: {reply[2]}")
        elif self.has_alternative:
            self._unwelcome = "has no leader"  # where there is nobody else, it may find one
            for pending in self._pending.values():
                if pending.sent:
                    pending.refusal = TimeoutError()  # if it is never done, that is why, and no lack of connections

    def _greeted(self, fields: dict[str, Any], now: float) -> None:
        known, cluster_id = self.greeting, int(fields["cluster_id"])
        if fields["protocol"] != PROTOCOL_VERSION:
            self.lost(now, f"speaks protocol version {fields['protocol']}, not {PROTOCOL_VERSION}")
        elif known is not None and known.cluster_id != cluster_id:
            self.lost(now, f"belongs to cluster {cluster_id:x}, not to {known.cluster_id:x} as before")
        else:
            member_id = int(fields["member_id"])
            if type(fields["watch_endpoint"]) is not str:
                raise ValueError(f"watch_endpoint {fields['watch_endpoint']!r}")
            self._ids = (cluster_id, member_id)
            self.greeting = Greeting(cluster_id, member_id, fields["incarnation"], fields["watch_endpoint"])
            self.link.greeted()

    def _refused(self, pending: Pending, error: OarlockError, now: float, completions: list[Completion]) -> None:
        """An error came: final, or a reason to ask again after a pause."""
        pending.sent = False
        pending.in_doubt = pending.in_doubt or leaves_doubt(error)
        if isinstance(error, CompactedError) and isinstance(pending.decode, Pages):
            page = pending.decode.restart()
            if page is not None:
                self._ask_on(pending, pending.waiter, page)
                return
        pause = error.detail / 1000 if error.detail > 0 else MIN_RETRY_PAUSE_S * 2.0 ** min(pending.refusals, 10)
        due = now + min(pause, MAX_RETRY_PAUSE_S) * (0.5 + self._random())
        if not self._is_retried(pending, error) or due >= pending.deadline:
            doubt = None if is_decided(error) else pending.doubt()
            completions.append(self._complete(pending, doubt or error))
            return
        pending.refusal = error
        pending.refusals += 1
        number = pending.request[0]
        self._pending[number] = pending
        heapq.heappush(self._paused, (due, number, pending))
        if isinstance(error, StoppedError):  # this worker is going: another may be there already
            self._unwelcome = "is stopping"
        elif isinstance(error, LearnerRefusesError):
            self._unwelcome = "is a learner"

    def _is_retried(self, pending: Pending, error: OarlockError) -> bool:
        """Whether the refusal is one of this member or this moment. A learner's is final where there is nobody else."""
        if isinstance(error, LearnerRefusesError):
            return self.has_alternative
        return is_of_the_moment(error) and pending.is_repeatable

    def _ask_on(self, pending: Pending, waiter: Any, page: NextPage) -> None:
        """Queues the next page of a range as a request of its own, for the same waiter and deadline."""
        self._last_number = number = next(self._numbers)
        pending.request = [number, int(Op.RANGE), *page.arguments]
        pending.waiter, pending.since, pending.sent, pending.in_doubt = waiter, -1, False, False
        self._pending[number] = pending
        self._fresh.append(pending)
        self._fresh_until = max(self._fresh_until, pending.deadline)

    def _complete(self, pending: Pending, error: OarlockError) -> Completion:
        self._pending.pop(pending.request[0], None)
        waiter, pending.waiter = pending.waiter, None
        return Completion(waiter, None, error)

    # ---- the connection

    def opened(self, now: float) -> None:
        """The driver has opened a socket to ``link.endpoint``."""
        self.link.opened(now)

    def connected(self, now: float) -> None:
        """The transport's handshake is over."""
        if self.link.connected():
            self._hello_due = True
            self._heard_at = now

    def lost(self, now: float, problem: str) -> None:
        """The connection is gone or useless: what it carried is queued again, as far as that is safe."""
        if self.link.state is LinkState.DOWN:
            return
        self.link.lost(now, problem)
        self._hello, self._hello_due, self._unwelcome = 0, False, ""
        for pending in self._pending.values():
            if pending.sent:
                pending.in_doubt = True
                if pending.is_repeatable:
                    pending.sent = False
                    self._again.append(pending)

    # ---- time

    def tick(self, now: float) -> list[Completion]:
        """Does what is due: deadlines, retries, a connection that has been silent for too long."""
        while self._paused and self._paused[0][0] <= now:
            self._again.append(heapq.heappop(self._paused)[2])
        if self.link.state in (LinkState.CONNECTING, LinkState.GREETING):
            if now >= self.link.give_up_at:
                self.lost(now, "did not greet in time")
        elif self.link.state is LinkState.READY:
            self._listen(now)
        return self._expire(now) if now >= self._next_deadline else []

    def _listen(self, now: float) -> None:
        if not self._pending:
            self._heard_at = now
        elif now - self._heard_at >= MAX_SILENCE_S:
            self.lost(now, "has been silent for too long")
        elif now - self._heard_at >= PING_AFTER_S and not self._hello:
            self._hello_due = True

    def _expire(self, now: float) -> list[Completion]:
        late = [pending for pending in self._pending.values() if pending.deadline <= now]
        completions = [self._complete(pending, self._late_error(pending)) for pending in late]
        self._next_deadline = min((pending.deadline for pending in self._pending.values()), default=math.inf)
        self._fresh = [pending for pending in self._fresh if pending.waiter is not None]
        return completions

    def _late_error(self, pending: Pending) -> OarlockError:
        doubt = pending.doubt()
        if doubt is not None:
            return doubt
        if pending.refusal is not None:
            return pending.refusal
        if self.link.state is not LinkState.READY:
            return self.unreachable()
        return TimeoutError()  # as the server says it at the same time: whose word comes first must make no difference

    def unreachable(self) -> ConnectionFailedError:
        """The error for who waited for a connection in vain."""
        endpoints = ", ".join(self._settings.endpoints)
        problem = self.link.problem or "no answer"
        return ConnectionFailedError(f"{ConnectionFailedError.text} ({endpoints}; last: {problem})")

    @property
    def has_alternative(self) -> bool:
        """Whether there is another endpoint than the present one."""
        return len(self._settings.endpoints) > 1

    @property
    def wants_to_send(self) -> bool:
        """Whether a reply has led to something that ``outgoing`` would give: another page, or, where it was a greeting,
        what the connection before this one did not answer."""
        return bool(self._fresh or self._again)

    @property
    def wakeup_at(self) -> float:
        """When ``tick`` is due, if nothing happens before. Never later than it should be, perhaps earlier."""
        due = min(self._next_deadline, self.link.wakeup_at)
        if self._paused:
            due = min(due, self._paused[0][0])
        if self._pending and self.link.state is LinkState.READY:
            due = min(due, self._heard_at + (MAX_SILENCE_S if self._hello or self._hello_due else PING_AFTER_S))
        return due

    @property
    def idle(self) -> bool:
        """Whether nothing is awaited."""
        return not self._pending

    def close(self) -> list[Completion]:
        """Ends everything that is pending."""
        pending = list(self._pending.values())
        self._fresh, self._again = [], []
        self._paused.clear()
        return [self._complete(item, ClosedError()) for item in pending]
