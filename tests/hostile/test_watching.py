"""Hostile watchers: whatever they send, nobody hears what is not theirs, and others go on hearing what is."""

from __future__ import annotations

import os
from random import Random

import pytest
import zmq

from oarlock.wire.errors import WatcherRangeEmptyError
from oarlock.wire.frames import TOKEN_BYTES, pack, unpack
from oarlock.wire.operations import FROM_KEY, Op
from tests.live.raw import RawClient, RawWatcher
from tests.server import Server


@pytest.fixture
def raw(context: zmq.Context[zmq.Socket[bytes]], victim: Server) -> RawClient:
    return RawClient(context, victim.native_endpoint)


@pytest.fixture
def honest(context: zmq.Context[zmq.Socket[bytes]], victim: Server) -> RawWatcher:
    return RawWatcher(context, victim.watch_endpoint)


@pytest.fixture
def hostile(context: zmq.Context[zmq.Socket[bytes]], victim: Server) -> RawWatcher:
    return RawWatcher(context, victim.watch_endpoint)


def hears(raw: RawClient, watcher: RawWatcher, topic: bytes, key: bytes) -> None:
    """The watcher of a topic gets the next put of a key."""
    revision = raw.ask_one(int(Op.PUT), key, b"")[1]
    message = watcher.receive(topic)
    while not message[2]:  # progress
        message = watcher.receive(topic)
    assert [event[1][3] for event in message[2]] == [revision]


def test_no_subscription_lets_anyone_hear_the_topics_of_others(
    raw: RawClient, honest: RawWatcher, hostile: RawWatcher
) -> None:
    topic = honest.watch(b"secret")
    for stolen in (b"", topic, topic[:1], topic[:15], b"\0", b"\1"):
        hostile.socket.send(b"\1" + stolen)
    hostile_topic = hostile.watch(b"other")  # its answer comes after all that went before
    hears(raw, honest, topic, b"secret")
    hears(raw, hostile, hostile_topic, b"other")
    assert hostile.nothing_more()


def test_a_token_may_be_shared_but_not_ended_by_who_does_not_know_it(
    raw: RawClient, honest: RawWatcher, hostile: RawWatcher
) -> None:
    topic = honest.watch(b"key")
    for guess in (b"", os.urandom(TOKEN_BYTES), topic):
        hostile.socket.send(b"\0" + pack([guess, b"key", b"", 0]))
        hostile.socket.send(b"\0" + guess)
    hostile.watch(b"other")
    hears(raw, honest, topic, b"key")


def watched_again(watcher: RawWatcher, key: bytes) -> bytes:
    """The topic of a watch that asks again until it is answered, as a client does."""
    for _ in range(100):
        token = watcher.subscribe(key)
        while watcher.socket.poll(500):
            frame = watcher.socket.recv()
            if frame[:TOKEN_BYTES] == token:
                return bytes(unpack(frame[TOKEN_BYTES:])[1])
    raise AssertionError("no answer to any subscription")


@pytest.mark.parametrize("kind", [b"\2", b"", b"hello", b"\xff" * 100], ids=["2", "empty", "text", "long"])
def test_frames_that_are_no_subscriptions_do_not_misdirect_those_of_others(
    context: zmq.Context[zmq.Socket[bytes]], raw: RawClient, victim: Server, hostile: RawWatcher, kind: bytes
) -> None:
    """libzmq alone would take subscriptions behind such a frame for somebody else's."""
    watchers = [RawWatcher(context, victim.watch_endpoint) for _ in range(8)]
    for number, watcher in enumerate(watchers):
        watched_again(watcher, b"first/%d" % number)
    asked: list[set[bytes]] = [set() for _ in watchers]
    for _ in range(30):
        for number, watcher in enumerate(watchers):
            hostile.socket.send(kind)
            asked[number].add(watcher.subscribe(b"own/%d" % number))
    topics = [watched_again(watcher, b"last/%d" % number) for number, watcher in enumerate(watchers)]
    for number in range(len(watchers)):
        raw.ask_one(int(Op.PUT), b"own/%d" % number, b"")
    for number, watcher in enumerate(watchers):
        revision = raw.ask_one(int(Op.PUT), b"last/%d" % number, b"")[1]
        while True:
            frame = watcher.socket.recv()
            own = frame[:TOKEN_BYTES] in asked[number] or b"own/" not in frame or b"own/%d" % number in frame
            assert own, "what somebody else asked for"
            if frame[:TOKEN_BYTES] == topics[number] and unpack(frame[TOKEN_BYTES:])[1] >= revision:
                break


def test_garbage_is_passed_over(raw: RawClient, honest: RawWatcher, hostile: RawWatcher) -> None:
    topic = honest.watch(b"key")
    random = Random(11)
    good = pack([os.urandom(TOKEN_BYTES), b"key", b"", 0])
    for _ in range(2_000):
        frame = bytearray(good if random.random() < 0.7 else random.randbytes(random.randrange(60)))
        for _ in range(random.randrange(3)):
            if frame:
                frame[random.randrange(len(frame))] = random.randrange(256)
        hostile.socket.send(random.choice([b"\0", b"\1"]) + bytes(frame))
    for nested in (b"\x91" * 60_000, b"\x81\x01" * 30_000, b"\xdd\xff\xff\xff\xff", b"\xc1"):
        hostile.socket.send(b"\1" + nested)
    hostile.watch(b"after")
    hears(raw, honest, topic, b"key")


def test_bad_requests_are_refused_to_their_token(hostile: RawWatcher) -> None:
    code, message, _ = hostile.receive(hostile.subscribe(b"b", b"a"))
    assert (code, message) == (int(WatcherRangeEmptyError.code), WatcherRangeEmptyError.text)
    for flags in (8, -1, 1 << 62):
        assert hostile.receive(hostile.subscribe(b"a", b"", flags))[0] > 0


def test_tens_of_thousands_of_subscriptions_and_their_end(
    raw: RawClient, honest: RawWatcher, hostile: RawWatcher
) -> None:
    topic = honest.watch(b"key")
    tokens = [hostile.subscribe(b"%d" % (number % 1000), FROM_KEY) for number in range(20_000)]
    hears(raw, honest, topic, b"key")
    for number, token in enumerate(tokens):
        hostile.unsubscribe(token, b"%d" % (number % 1000), FROM_KEY)
    hostile.watch(b"after")
    hears(raw, honest, topic, b"key")


def test_the_same_subscription_over_and_over_counts_once(raw: RawClient, hostile: RawWatcher) -> None:
    token = os.urandom(TOKEN_BYTES)
    topics = set()
    for _ in range(2_000):
        hostile.subscribe(b"key", token=token)
    for _ in range(2_000):
        topics.add(hostile.receive(token)[1])
    (topic,) = topics
    hears(raw, hostile, topic, b"key")
    assert hostile.nothing_more()


def test_a_watcher_that_vanishes_is_forgotten(
    context: zmq.Context[zmq.Socket[bytes]], raw: RawClient, honest: RawWatcher, victim: Server
) -> None:
    topic = honest.watch(b"key")
    for _ in range(50):
        gone = RawWatcher(context, victim.watch_endpoint)
        gone.watch(b"key")
        gone.socket.close(linger=0)
    hears(raw, honest, topic, b"key")
