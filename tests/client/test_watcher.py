"""The watcher: each event once and in order, whatever becomes of the messages."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock import watching
from oarlock.watching import Deliver, End, Pull, State, Watcher
from oarlock.wire.errors import ClosedError


def event(revision: int, number: int = 0) -> list[Any]:
    return [0, [b"k%d" % number, b"", 1, revision, 1, 0], None]


def live_watcher(revision: int = 10) -> Watcher:
    watcher = Watcher(0)
    assert watcher.answered(b"topic", revision, 0) == []
    return watcher


class Network:
    """A store and its watch channel, which loses, repeats and reorders messages, and a watcher at its end."""

    def __init__(self, seed: int, start_revision: int) -> None:
        self.random = random.Random(seed)
        self.revision = 1
        self.events: list[list[Any]] = []
        self.topic, self.published = b"", 1
        self.wire: list[tuple[bytes, int, int, list[Any]]] = []
        self.pulls: list[Pull] = []
        self.watcher = Watcher(start_revision)
        self.delivered: list[list[Any]] = []
        self.passed = 0

    def between(self, after: int, up_to: int) -> list[list[Any]]:
        return [event for event in self.events if after < event[1][3] <= up_to]

    def take(self, effects: list[watching.Effect]) -> None:
        for effect in effects:
            assert not isinstance(effect, End)
            if isinstance(effect, Pull):
                assert not self.pulls, "one pull at a time"
                self.pulls.append(effect)
            else:
                assert effect.revision > self.passed
                self.passed = effect.revision
                self.delivered.extend(effect.events)
                assert effect.revision <= self.revision
                assert self.watcher.revision >= effect.revision

    def write(self) -> None:
        self.revision += 1
        if self.random.random() < 0.8:  # the others are of keys that nobody watches here
            self.events += [event(self.revision, number) for number in range(self.random.randint(1, 3))]

    def publish(self) -> None:
        if self.topic and self.revision > self.published:
            events = self.between(self.published, self.revision)
            self.wire.append((self.topic, self.published, self.revision, events))
            self.published = self.revision

    def rejoin(self) -> None:
        """To a worker that may be behind, under a new topic."""
        self.topic = self.random.randbytes(4)
        self.published = self.random.randint(max(1, self.revision - 5), self.revision)
        self.pulls.clear()  # what was asked for over the old connection is asked again
        pulling = self.watcher._pulling
        self.take(self.watcher.answered(self.topic, self.published, 0))
        if pulling and self.watcher._pulling == pulling:
            self.take(self.watcher.pull_failed(pulling))

    def arrive(self) -> None:
        if self.wire:
            place = self.random.choice([0, 0, 0, self.random.randrange(len(self.wire))])
            message = self.wire[place]
            if self.random.random() < 0.8:  # else it comes again later
                self.wire.pop(place)
            self.take(self.watcher.live(*message))

    def lose(self) -> None:
        if self.wire:
            self.wire.pop(self.random.randrange(len(self.wire)))

    def answer_pull(self) -> None:
        if self.pulls:
            pull = self.pulls.pop()
            up_to = min(max(self.revision, pull.min_revision), pull.start_revision + self.random.randint(0, 6))
            events = self.between(pull.start_revision - 1, up_to)
            self.take(self.watcher.pulled(pull.number, events, up_to + 1))

    def fail_pull(self) -> None:
        if self.pulls:
            self.take(self.watcher.pull_failed(self.pulls.pop().number))

    def toggle_full(self) -> None:
        self.take(self.watcher.set_full(not self.watcher._full))

    def settle(self) -> None:
        """The network gets well again: the newest message comes, pulls are answered."""
        self.take(self.watcher.set_full(False))
        self.rejoin()
        self.wire.clear()
        self.publish()
        for message in self.wire:
            self.take(self.watcher.live(*message))
        while self.pulls:
            self.answer_pull()


STEPS = ["write", "publish", "arrive", "lose", "answer_pull", "fail_pull", "rejoin", "toggle_full"]
MOSTLY = ["write"] * 4 + ["publish"] * 4 + ["arrive"] * 4 + ["answer_pull"] * 3 + STEPS


@given(
    st.integers(0, 1 << 32),
    st.integers(0, 12),
    st.lists(st.sampled_from(MOSTLY), min_size=40, max_size=150),
    st.sampled_from([0, 3, watching.MAX_KEPT_EVENTS]),
)
def test_every_event_comes_once_and_in_order_whatever_happens(
    seed: int, start: int, steps: list[str], most_kept: int
) -> None:
    network = Network(seed, start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "MAX_KEPT_EVENTS", most_kept)
        network.rejoin()
        begun_at = network.watcher.revision
        for step in steps:
            getattr(network, step)()
        network.settle()
    assert network.delivered == network.between(begun_at, network.revision)
    assert network.watcher.revision >= network.revision
    assert network.watcher.state is State.LIVE


def test_a_chain_of_messages_is_passed_on() -> None:
    watcher = live_watcher(10)
    assert watcher.live(b"topic", 10, 11, [event(11)]) == [Deliver(11, [event(11)])]
    assert watcher.live(b"topic", 11, 15, []) == [Deliver(15, [])]


def test_a_gap_is_pulled_and_what_came_after_it_kept() -> None:
    watcher = live_watcher(10)
    (pull,) = watcher.live(b"topic", 12, 13, [event(13)])
    assert isinstance(pull, Pull)
    assert (pull.start_revision, pull.min_revision) == (11, 12)
    assert watcher.live(b"topic", 13, 14, [event(14)]) == []
    assert watcher.pulled(pull.number, [event(11), event(13)], 14) == [
        Deliver(13, [event(11), event(13)]),
        Deliver(14, [event(14)]),
    ]


def test_a_gap_among_what_was_kept_is_pulled_too() -> None:
    watcher = live_watcher(10)
    (pull,) = watcher.live(b"topic", 12, 13, [event(13)])
    assert isinstance(pull, Pull)
    assert watcher.live(b"topic", 15, 16, [event(16)]) == []
    delivered, again = watcher.pulled(pull.number, [event(11)], 13)
    assert delivered == Deliver(12, [event(11)])
    assert again == Pull(pull.number + 1, 13, 15)
    assert watcher.pulled(pull.number + 1, [event(13), event(15)], 16) == [
        Deliver(15, [event(13), event(15)]),
        Deliver(16, [event(16)]),
    ]


def test_what_does_not_fit_is_dropped_and_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_KEPT_EVENTS", 2)
    watcher = live_watcher(10)
    (pull,) = watcher.live(b"topic", 12, 13, [event(13)])
    assert isinstance(pull, Pull)
    assert watcher.live(b"topic", 13, 14, [event(14)]) == []
    assert watcher.pulled(pull.number, [event(12)], 13)[1] == Pull(pull.number + 1, 13, 14)


def test_a_start_in_the_future_hides_what_comes_before_it() -> None:
    watcher = Watcher(20)
    assert watcher.answered(b"topic", 10, 0) == []
    assert watcher.live(b"topic", 10, 19, [event(19)]) == []
    assert watcher.live(b"topic", 19, 20, [event(20)]) == [Deliver(20, [event(20)])]


def test_now_is_not_before_what_the_client_has_seen() -> None:
    watcher = Watcher(0)
    assert watcher.answered(b"topic", 10, 12) == []
    assert watcher.live(b"topic", 10, 13, [event(12), event(13)]) == [Deliver(13, [event(13)])]


def test_a_full_consumer_is_not_sent_anything_until_it_has_room() -> None:
    watcher = live_watcher(10)
    watcher.set_full(True)
    assert watcher.live(b"topic", 10, 11, [event(11)]) == []
    assert watcher.set_full(False) == [Deliver(11, [event(11)])]


def test_the_late_answer_to_an_abandoned_pull_is_ignored() -> None:
    watcher = live_watcher(10)
    (pull,) = watcher.live(b"topic", 12, 13, [event(13)])
    assert isinstance(pull, Pull)
    assert watcher.live(b"topic", 10, 12, [event(12)]) == []
    again = watcher.pull_failed(pull.number)
    assert isinstance(again[0], Pull)
    assert watcher.pulled(pull.number, [event(12)], 13) == []


def test_it_ends_once() -> None:
    watcher, error = live_watcher(), ClosedError()
    assert watcher.fail(error) == [End(error)]
    assert watcher.fail(error) == []
    assert watcher.live(b"topic", 10, 11, [event(11)]) == []
