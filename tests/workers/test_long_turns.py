"""Long reads give way to other requests, by how many there are, and go on all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from oarlock.wire.operations import FROM_KEY, Op
from oarlock.workers.long_turns import MOST_PAUSE, REQUEST_S, LongTurns
from oarlock.workers.reads import SLICE_ROWS, Read, Reads
from tests.workers.harness import Harness

SLICE_S = 0.001
ROWS = 3 * SLICE_ROWS


class Loop(asyncio.AbstractEventLoop):
    """Calls nobody by itself, and knows how much later each call was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], object]]] = []

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        self.calls.append((0.0, callback))

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        self.calls.append((delay, callback))


class Clock:
    """Goes on by a slice with each look: whatever lies between two looks takes as long."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += SLICE_S
        return self.now_s


class Caller:
    """Keeps the answers."""

    takes_encoded_rows = False

    def __init__(self) -> None:
        self.items: list[Any] = []

    def answer(self, item: Any) -> None:
        self.items.append(item)

    def answer_long(self, item: Any, size_bytes: int) -> None:
        self.items.append(item)


class Scene:
    """Long reads of one replica."""

    def __init__(self, harness: Harness) -> None:
        harness.apply([[0, 0, 0, [[n + 1, int(Op.PUT), b"%05d" % n, b""] for n in range(ROWS)]]])
        self.loop = Loop()
        self.sent = 0
        self.reads = Reads(lambda: harness.replica, lambda: self.turns.wake())
        self.turns = LongTurns(self.loop, (self.reads,), self._send, Clock())
        self.caller = Caller()

    def _send(self) -> None:
        self.sent += 1

    def begin(self) -> None:
        """A list of everything, which takes some slices."""
        self.turns.asked(1)
        self.reads.start(Read(self.caller, [1, int(Op.RANGE), FROM_KEY, 0, FROM_KEY], 1e9))

    def turn(self) -> float:
        """Lets the slice run that is due; how many seconds later than asked it was to be."""
        ((delay_s, callback),) = self.loop.calls
        self.loop.calls.clear()
        callback()
        return delay_s


@pytest.fixture
def scene(harness: Harness) -> Scene:
    return Scene(harness)


def test_a_list_alone_goes_on_at_once(scene: Scene) -> None:
    scene.begin()
    while scene.loop.calls:
        assert scene.turn() == 0.0
    assert len(scene.caller.items[0][2][0]) == ROWS
    assert scene.sent >= 2


def test_the_pause_is_what_the_others_need(scene: Scene) -> None:
    scene.begin()
    scene.turns.asked(10)
    scene.turn()
    assert scene.turn() == pytest.approx(10 * REQUEST_S - SLICE_S)  # the clock goes on by as much with a look


def test_the_pause_is_bounded_however_many_ask(scene: Scene) -> None:
    scene.begin()
    scene.turns.asked(1_000_000)
    scene.turn()
    assert scene.turn() == pytest.approx(SLICE_S * MOST_PAUSE - SLICE_S)


def test_the_more_long_reads_there_are_the_shorter_is_the_pause(scene: Scene) -> None:
    for _ in range(4):
        scene.begin()
    scene.turns.asked(1_000_000)
    scene.turn()
    assert scene.turn() == pytest.approx(SLICE_S * MOST_PAUSE / 2 - SLICE_S)


def test_those_who_asked_are_waited_for_once(scene: Scene) -> None:
    scene.begin()
    scene.turns.asked(10)
    scene.turn()
    scene.turn()
    assert not scene.loop.calls or scene.turn() == 0.0


def test_two_lists_take_turns_of_one_slice(scene: Scene) -> None:
    scene.begin()
    scene.begin()
    turns = 0
    while scene.loop.calls:
        scene.turn()
        turns += 1
    assert len(scene.caller.items) == 2
    assert turns >= 4


def test_a_pause_outlasts_the_read(scene: Scene) -> None:
    """The next page of a list is another read; it waits as long as the same one would."""
    scene.begin()
    while scene.loop.calls:
        scene.turns.asked(1_000_000)
        scene.turn()
    scene.turns.wake()
    ((delay_s, _),) = scene.loop.calls
    assert delay_s > 0
