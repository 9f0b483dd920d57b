"""Clients that ask for much and read nothing: the worker's memory stays bounded, and others are served."""

from __future__ import annotations

import zmq

import oarlock
from oarlock.wire.frames import pack
from oarlock.wire.operations import Op, RangeFlag
from tests.live.raw import RawClient, RawWatcher
from tests.server import Server

from .conftest import worker_rss_bytes

VALUE = b"v" * (1 << 20)
MOST_GROWTH_BYTES = 400 << 20
"""What libzmq, the unsent replies of one client and LMDB's pages may take together; three gigabytes are asked for."""


def test_a_flood_of_reads_whose_replies_nobody_takes(
    context: zmq.Context[zmq.Socket[bytes]], victim: Server, neighbour: oarlock.Client
) -> None:
    neighbour.put("large", VALUE)
    before = worker_rss_bytes(victim)
    silent = context.socket(zmq.DEALER)
    silent.setsockopt(zmq.RCVHWM, 1)
    silent.connect(f"tcp://{victim.native_endpoint}")
    for message in range(3):
        first = message * 1000 + 1
        requests = [[first + n, int(Op.RANGE), b"large", int(RangeFlag.SERIALIZABLE)] for n in range(1000)]
        silent.send(pack([1, 1, 0, 20_000, requests]))
        neighbour.put("small", str(message))
        assert worker_rss_bytes(victim) - before < MOST_GROWTH_BYTES
    silent.close(linger=0)


def test_replies_to_one_long_message_are_all_taken(
    context: zmq.Context[zmq.Socket[bytes]], victim: Server, neighbour: oarlock.Client
) -> None:
    """Results of 100 MiB in all come in messages of a bounded length, or are refused with a hint to ask again."""
    neighbour.put("large", VALUE)
    raw = RawClient(context, victim.native_endpoint)
    raw.send([1, 1, 0, 20_000, [[number, int(Op.RANGE), b"large"] for number in range(1, 101)]])
    answered: dict[int, bool] = {}
    while len(answered) < 100:
        items = raw.receive()[2]
        assert len(items) <= 100
        assert sum(len(item[2][0][0][1]) for item in items if item[1] > 0) <= 4 << 20
        answered |= {item[0]: item[1] > 0 for item in items}
        assert all(item[1] > 0 or item[3] > 0 for item in items)
    assert sum(answered.values()) >= 30


def test_a_watcher_that_never_reads(
    context: zmq.Context[zmq.Socket[bytes]], victim: Server, neighbour: oarlock.Client
) -> None:
    before = worker_rss_bytes(victim)
    silent = RawWatcher(context, victim.watch_endpoint)
    silent.socket.setsockopt(zmq.RCVHWM, 1)
    silent.watch(b"watched")
    with neighbour.watch("watched") as watch:
        for number in range(100):
            neighbour.put("watched", VALUE + b"%d" % number)
        for number in range(100):
            assert next(watch).value == VALUE + b"%d" % number
    assert worker_rss_bytes(victim) - before < MOST_GROWTH_BYTES
