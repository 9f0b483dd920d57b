"""Carries a load out over some lanes, each with a bounded number of requests in flight. Does no I/O itself.

A lane is a client. All lanes draw from one plan, so rate and total hold for the whole
load. The driver is told when time has passed (``advance``) and when a request has ended (the callback that it adds to
what ``issue`` returned), and asks for nothing else: a test plays the network and the clock.

The closed path is on the generator's budget of microseconds, which is why it looks at the clock once a request:
the end of one request is the time at which the next one is due.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, repeat
from typing import Any, Final, Protocol, TypeAlias

from oarlock.loadgen.outcome import REQUESTS, Outcome, Series
from oarlock.loadgen.outcome import Figures as Figures  # where others have always found it
from oarlock.wire.errors import OarlockError


class Pending(Protocol):
    """A request in flight; an asyncio future is one."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        """``callback`` is called once with this object when the request has ended, and not before this returns."""

    def exception(self) -> BaseException | None:
        """Why the ended request failed."""


Issue: TypeAlias = Callable[..., Pending]
"""Sends one request of the plan, whose parts are the arguments. Raises OarlockError where it cannot."""
Clock: TypeAlias = Callable[[], int]
"""Monotonic nanoseconds."""

MAX_IN_FLIGHT: Final = 100_000
"""Of one lane: more than any server should be asked to hold, and about 100 MB here."""


class Lane:
    """One client's requests in flight."""

    __slots__ = ("in_flight", "issue")

    def __init__(self, issue: Issue) -> None:
        self.issue = issue
        self.in_flight = 0


class Driver:
    """A load under way.

    Invariants: 0 <= in flight <= ``in_flight`` in every lane; ``sent`` = ended + in flight over all lanes; once
    stopped, nothing is sent any more; ``finished`` is called once, when it is stopped and nothing is in flight.

    Args:
        issues: how to send over each client; one lane each.
        requests: what to send, in this order; each is a tuple of arguments.
        due: when each request is due, in seconds from the start, ascending; all 0 for a closed load.
        in_flight: requests in flight at most in each lane.
        total: requests in all; None for no end but ``stop``.
        clock: see Clock.
        finished: called when all is done.
        kinds: of which kind each of ``requests`` is; each kind has a series of its own.

    Raises:
        ValueError: no lane, or ``in_flight`` or ``total`` out of their range.
    """

    def __init__(
        self,
        issues: Iterable[Issue],
        requests: Iterator[tuple[Any, ...]],
        due: Iterator[float],
        *,
        in_flight: int,
        total: int | None,
        clock: Clock,
        finished: Callable[[], None],
        kinds: Iterable[str] = repeat(REQUESTS),
    ) -> None:
        if not 1 <= in_flight <= MAX_IN_FLIGHT:
            raise ValueError(f"requests in flight must be 1 to {MAX_IN_FLIGHT} a client, not {in_flight}")
        if total is not None and total < 1:
            raise ValueError(f"the total must be 1 request or more, not {total}")
        self.lanes = [Lane(issue) for issue in issues]
        if not self.lanes:
            raise ValueError("a load needs a client at least")
        self.series: defaultdict[str, Series] = defaultdict(Series)
        self._plan = islice(zip(due, map(self.series.__getitem__, kinds), requests, strict=False), total)
        self._limit = in_flight
        self._clock = clock
        self._finished = finished
        self._next: tuple[float, Series, tuple[Any, ...]] | None = None
        self._start_ns = self._end_ns = clock()

    def start(self) -> None:
        """Begins: time counts from now."""
        self._start_ns = self._end_ns = self._clock()
        self._next = next(self._plan, None)
        self.advance()

    def stop(self) -> None:
        """Sends no more; what is in flight goes on."""
        self._next = None
        self._finish_when_idle()

    @property
    def wake_s(self) -> float | None:
        """In how many seconds ``advance`` should be called; None where only the end of a request brings it on."""
        if self._next is None or self.in_flight >= self._limit * len(self.lanes):
            return None
        return max(0.0, self._next[0] - (self._clock() - self._start_ns) / 1e9)

    @property
    def in_flight(self) -> int:
        """Requests in flight in all lanes."""
        return sum(lane.in_flight for lane in self.lanes)

    @property
    def sent(self) -> int:
        """Requests issued."""
        return sum(series.sent for series in self.series.values())

    @property
    def ended(self) -> int:
        """Requests that ended, well or not."""
        return self.sent - self.in_flight

    def advance(self) -> None:
        """Sends what is due, over the lanes in turn, as far as there is room."""
        now_ns = self._clock()
        sent = True
        while sent:
            sent = False
            for lane in self.lanes:
                if lane.in_flight < self._limit:
                    sent = self._send_due(lane, now_ns) or sent
        self._finish_when_idle()

    def _send_due(self, lane: Lane, now_ns: int) -> bool:
        """Sends the next request over ``lane`` if it is due: says whether it went out."""
        if self._next is None:
            return False
        due_s, series, request = self._next
        due_ns = self._start_ns + int(due_s * 1e9) if due_s else now_ns
        if due_ns > now_ns:
            return False
        self._next = next(self._plan, None)
        series.sent += 1
        try:
            pending = lane.issue(*request)
        except OarlockError as problem:  # full or closed: the lane rests until the next ``advance``
            series.errors[type(problem).__name__] += 1
            return False
        lane.in_flight += 1
        pending.add_done_callback(partial(self._ended, lane, series, due_ns))
        return True

    def _ended(self, lane: Lane, series: Series, due_ns: int, pending: Pending) -> None:
        """A request has ended: counts it, and sends the next one in its place."""
        self._end_ns = now_ns = self._clock()
        lane.in_flight -= 1
        error = pending.exception()
        if error is None:
            series.latencies.record(now_ns - due_ns)
        else:
            series.errors[type(error).__name__] += 1
        if not self._send_due(lane, now_ns) and self._next is None:
            self._finish_when_idle()

    def _finish_when_idle(self) -> None:
        if self._next is None and not self.in_flight:
            finished, self._finished = self._finished, _nothing
            finished()

    @property
    def seconds(self) -> float:
        """From the start to the last end so far."""
        return (self._end_ns - self._start_ns) / 1e9

    def figures(self) -> Figures:
        """What came of it so far, all kinds together."""
        return Outcome(self.seconds, series=self.series).figures()


def _nothing() -> None:
    """Stands for ``finished`` after it was called."""
