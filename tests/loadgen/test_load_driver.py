"""The driver under a clock and a network that the test plays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.loadgen.driver import Driver
from oarlock.loadgen.plan import due_times
from oarlock.wire.errors import NoSpaceError, OverloadedError

MS = 1_000_000


class Request:
    """A request in flight, until the test ends it."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def add_done_callback(self, callback: Callable[[Request], object], /) -> None:
        self.done = callback

    def exception(self) -> Exception | None:
        return self.error


class World:
    """Requests wait in ``pending`` until the test ends them."""

    def __init__(self, *, lanes: int = 1, in_flight: int = 1, total: int | None = None, rate: float = 0) -> None:
        self.now_ns = 5 * MS
        self.refusing = False
        self.sent: list[int] = []
        self.pending: list[deque[Request]] = [deque() for _ in range(lanes)]
        self.finished = 0
        self.driver = Driver(
            [self.issue_to(lane) for lane in self.pending],
            zip(count()),
            due_times(rate),
            in_flight=in_flight,
            total=total,
            clock=lambda: self.now_ns,
            finished=self.finish,
        )
        self.driver.start()

    def issue_to(self, lane: deque[Request]):  # type: ignore[no-untyped-def]
        def issue(number: int) -> Request:
            if self.refusing:
                raise OverloadedError
            self.sent.append(number)
            lane.append(Request())
            return lane[-1]

        return issue

    def finish(self) -> None:
        self.finished += 1

    def end(self, lane: int = 0, error: Exception | None = None) -> None:
        request = self.pending[lane].popleft()
        request.error = error
        request.done(request)

    def pass_ms(self, ms: float) -> None:
        self.now_ns += int(ms * MS)
        self.driver.advance()


def test_a_closed_load_keeps_every_lane_full_and_ends_with_the_total() -> None:
    world = World(lanes=2, in_flight=2, total=5)
    assert [len(lane) for lane in world.pending] == [2, 2]
    world.end(lane=1)
    assert [len(lane) for lane in world.pending] == [2, 2]
    for lane in (0, 0, 1, 1):
        assert world.finished == 0
        world.end(lane)
    assert (world.sent, world.finished, world.driver.ended) == ([0, 1, 2, 3, 4], 1, 5)


def test_a_closed_load_measures_from_the_sending() -> None:
    world = World(total=2)
    world.pass_ms(3)
    world.end()
    world.pass_ms(4)
    world.end()
    figures = world.driver.figures()
    assert (figures.latencies.lowest_ns, figures.latencies.highest_ns, figures.seconds) == (3 * MS, 4 * MS, 0.007)


def test_an_open_load_sends_when_due() -> None:
    world = World(in_flight=10, rate=100)
    assert (world.sent, world.driver.wake_s) == ([0], 0.01)
    world.pass_ms(9)
    assert world.sent == [0]
    world.pass_ms(12)
    assert world.sent == [0, 1, 2]


def test_an_open_load_measures_from_when_a_request_was_due() -> None:
    """One in flight; the server stalls 50 ms; the request due at 10 ms has waited for 40 before it was sent."""
    world = World(in_flight=1, rate=100)
    world.pass_ms(50)
    assert (world.sent, world.driver.wake_s) == ([0], None)
    world.end()
    world.now_ns += MS
    world.end()
    assert world.driver.figures().latencies.highest_ns == 50 * MS
    assert world.driver.figures().latencies.lowest_ns == 41 * MS


def test_errors_are_counted_by_kind_and_have_no_latency() -> None:
    world = World(total=3)
    world.end(error=NoSpaceError())
    world.end(error=NoSpaceError())
    world.end()
    figures = world.driver.figures()
    assert (figures.errors, figures.latencies.count, figures.sent) == ({"NoSpaceError": 2}, 1, 3)


def test_a_request_that_cannot_be_sent_is_an_error_and_the_lane_rests() -> None:
    world = World(total=4)
    world.refusing = True
    world.end()
    assert world.driver.figures().errors == {"OverloadedError": 1}
    world.refusing = False
    world.pass_ms(1)
    assert world.sent == [0, 2]


def test_after_stop_nothing_is_sent_and_the_rest_is_awaited() -> None:
    world = World(in_flight=2)
    world.driver.stop()
    world.end()
    assert (world.sent, world.finished) == ([0, 1], 0)
    world.end()
    assert world.finished == 1


@pytest.mark.parametrize("settings", [{"in_flight": 0}, {"total": 0}, {"lanes": 0}])
def test_a_load_that_cannot_be_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"0|at least"):
        World(**settings)


@given(
    lanes=st.integers(1, 3),
    in_flight=st.integers(1, 4),
    total=st.integers(1, 40),
    rate=st.sampled_from([0, 50, 1000]),
    chance=st.randoms(use_true_random=False),
)
def test_every_request_is_sent_once_and_counted_once(lanes, in_flight, total, rate, chance) -> None:  # type: ignore[no-untyped-def]
    world = World(lanes=lanes, in_flight=in_flight, total=total, rate=rate)
    while not world.finished:
        assert all(lane.in_flight <= in_flight for lane in world.driver.lanes)
        busy = [lane for lane, pending in enumerate(world.pending) if pending]
        if busy and chance.random() < 0.7:
            world.end(chance.choice(busy))
        else:
            world.pass_ms(chance.randint(0, 30))
    assert world.sent == list(range(total))
    assert (world.finished, world.driver.figures().latencies.count) == (1, total)
