"""Each large group is told when its own pause ends, whoever else has one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from oarlock.gateway.service import LiveBatch
from oarlock.wire.operations import EventType
from oarlock.workers.watch.gathering import PAUSE_A_WATCHER_S
from oarlock.workers.watch.hand_outs import HandOuts
from oarlock.workers.watch.hub import WatchHub

LARGE, LARGER = 2, 10
NOW_S = 100.0


class Call:
    """One that the loop was asked for."""

    def __init__(self, due_s: float, callback: Callable[[], object]) -> None:
        self.due_s = due_s
        self.callback = callback
        self.is_canceled = False

    def cancel(self) -> None:
        self.is_canceled = True


class Loop(asyncio.AbstractEventLoop):
    """A loop and its clock; time passes when the test says so."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.calls: list[Call] = []

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        self.calls.append(Call(self.now_s + delay, callback))
        return self.calls[-1]

    def waiting(self) -> list[Call]:
        return sorted((call for call in self.calls if not call.is_canceled), key=lambda call: call.due_s)

    def next(self) -> None:
        """Time passes until the next call."""
        call = self.waiting()[0]
        self.calls.remove(call)
        self.now_s = call.due_s
        call.callback()


def test_a_group_is_told_in_its_own_time_though_a_larger_one_waits() -> None:
    numbers = itertools.count(1)
    hub = WatchHub(lambda: b"topic%11d" % next(numbers), large_group=LARGE)
    loop = Loop()
    written: list[float] = []
    hand_outs = HandOuts(loop, hub, lambda: written.append(loop.now_s), lambda: loop.now_s)
    told: dict[bytes, list[LiveBatch]] = {b"small": [], b"larger": []}
    for key, watchers in ((b"small", LARGE), (b"larger", LARGER)):
        hub.subscribe_local(key, b"", 0, 3, told[key].append)
        for _ in range(watchers - 1):
            hub.subscribe_local(key, b"", 0, 3, lambda batch: None)
    for revision, key in enumerate((b"larger", b"larger", b"small", b"small"), 4):
        hub.changes([(int(EventType.PUT), (key, b"v", revision, revision, 1, 0), None)], revision, loop.now_s)
        hand_outs.changed(loop.now_s)
    loop.next()
    assert [len(told[b"small"]), len(told[b"larger"])] == [2, 1]
    loop.next()
    assert [len(told[b"small"]), len(told[b"larger"])] == [2, 2]
    assert written == pytest.approx([NOW_S + LARGE * PAUSE_A_WATCHER_S, NOW_S + LARGER * PAUSE_A_WATCHER_S])
    assert loop.waiting() == []
