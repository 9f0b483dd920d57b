"""Well-formed ZeroMQ with contents that are not: an error reply or none at all, and the next request is served."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oarlock.wire.errors import Code, ProtocolError
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import Op
from tests.live.raw import RawClient
from tests.model.strategies import msgpack_values
from tests.server import Server

HOSTILE = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture
def raw(context: zmq.Context[zmq.Socket[bytes]], victim: Server) -> RawClient:
    return RawClient(context, victim.native_endpoint)


def refused(raw: RawClient, frame: bytes) -> list[Any]:
    """The error item with which the server answers a frame."""
    raw.socket.send(frame)
    (item,) = raw.receive()[2]
    assert item[1] < 0
    return list(item)


def still_serves(raw: RawClient) -> None:
    assert raw.ask_one(int(Op.RANGE), b"key")[1] > 0


NESTED_ARRAYS = b"\x91" * 200_000 + b"\xc0"
NESTED_MAPS = b"\x81\x01" * 200_000 + b"\xc0"
FRAMES = {
    "nothing": b"",
    "not msgpack": b"\xc1",
    "cut off": pack([1, 1, 0, 1000, [[1, 1, b"key"]]])[:-2],
    "something behind": pack([1, 1, 0, 1000, [[1, 1, b"key"]]]) + b"\0",
    "a number": pack(7),
    "a map": pack({b"client_id": 1}),
    "too short": pack([1, 1, 0]),
    "too long": pack([1, 1, 0, 1000, [[1, 1, b"key"]], 0]),
    "no requests": pack([1, 1, 0, 1000, []]),
    "requests not in a list": pack([1, 1, 0, 1000, {1: 2}]),
    "too many requests": pack([1, 1, 0, 1000, [0] * 10_001]),
    "negative": pack([-1, 1, 0, 1000, [[1, 1, b"key"]]]),
    "too large a number": pack([1, 1, 1 << 63, 1000, [[1, 1, b"key"]]]),
    "a boolean": pack([1, True, 0, 1000, [[1, 1, b"key"]]]),
    "a float": pack([1, 1, 0, 1e3, [[1, 1, b"key"]]]),
    "arrays that nest": NESTED_ARRAYS,
    "maps that nest": NESTED_MAPS,
    "an array that is said to be huge": b"\xdd\xff\xff\xff\xff",
    "a map that is said to be huge": b"\xdf\xff\xff\xff\xff",
    "bytes that are said to be many": b"\xc6\xff\xff\xff\xff",
    "a string that is no UTF-8": b"\xa4\xff\xfe\xfd\xfc",
    "an extension": msgpack.packb(msgpack.ExtType(5, b"x" * 70_000)),
    "a timestamp": msgpack.packb(msgpack.Timestamp(1, 2)),
    "a timestamp out of range": b"\xc7\x0c\xff" + struct.pack(">Iq", 4_000_000_000, -1),
    "a timestamp of the wrong length": b"\xc7\x03\xff\0\0\0",
    "a key that is a list": b"\x81\x91\x01\x01",
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_message_that_is_none_is_answered_with_an_error(raw: RawClient, frame: bytes) -> None:
    sequence, code, message, _ = refused(raw, frame)
    assert (sequence, -code) == (0, Code.INVALID_ARGUMENT)
    assert message.startswith(ProtocolError.text)
    assert len(message) < 1000
    still_serves(raw)


REQUESTS: dict[str, Any] = {
    "no list": 7,
    "nothing": [],
    "no operation": [1],
    "an unknown operation": [1, 999],
    "an operation that is text": [1, "PUT", b"key", b"value"],
    "a negative operation": [1, -1],
    "no sequence": [None, 1, b"key"],
    "sequence 0": [0, 1, b"key"],
    "a huge sequence": [1 << 63, 1, b"key"],
    "a sequence that is true": [True, 1, b"key"],
    "no arguments": [1, 10],
    "too many arguments": [1, 10, b"key", b"value", 0, 0, 0],
    "text as a key": [1, 10, "key", b"value"],
    "a list as a key": [1, 10, [b"key"], b"value"],
    "an extension as a key": [1, 10, msgpack.ExtType(1, b"key"), b"value"],
    "a timestamp as a value": [1, 10, b"key", msgpack.Timestamp(1)],
    "nothing as a value": [1, 10, b"key", None],
    "a float as a lease": [1, 10, b"key", b"value", 1.5],
    "unknown flags": [1, 10, b"key", b"value", 0, 1 << 40],
    "a transaction of numbers": [1, 12, [1], [2], [3]],
    "a transaction of maps": [1, 12, {}, {}, {}],
    "a watch inside a transaction": [1, 12, [], [[30, b"key", 0, b"", 1, 0, 1]], []],
    "a value compared as a number": [1, 12, [[0, 3, b"key", 7]], [], []],
    "a number compared as a value": [1, 12, [[0, 0, b"key", b"7"]], [], []],
    "an unknown compare": [1, 12, [[9, 9, b"key", 7]], [], []],
    "a history of no bytes": [1, 30, b"key", 0, b"", 1, 0, 0],
    "a lease without a time": [1, 20, 7],
    "an alarm out of the world": [1, 43, 9, 9, 9],
    "a name that is endless": [1, 42, 1, "x" * 10_000],
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_request_that_is_none_is_refused_and_its_neighbours_are_served(raw: RawClient, request_: Any) -> None:
    good = [7, int(Op.RANGE), b"key"]
    raw.send([1, 1, 0, 20_000, [good, request_, [8, *good[1:]]]])
    replies: dict[int, Any] = {}
    while len(replies) < 3:
        replies |= {item[0]: item for item in raw.receive()[2]}
    assert replies.pop(7)[1] > 0
    assert replies.pop(8)[1] > 0
    (refusal,) = replies.values()
    assert refusal[1] < 0
    assert len(refusal[2]) < 1000


@settings(HOSTILE, max_examples=100)
@given(st.one_of(msgpack_values, st.lists(msgpack_values, min_size=5, max_size=5)))
def test_any_value_as_a_message(raw: RawClient, value: Any) -> None:
    raw.socket.send(pack(value))
    assert raw.receive()[2]


some_requests = st.lists(
    st.tuples(st.sampled_from(list(Op)), st.lists(msgpack_values, max_size=8)), min_size=1, max_size=10
)


def every_one_is_answered(raw: RawClient, requests: list[tuple[Op, list[Any]]]) -> None:
    """Sends requests in one message, and waits for all answers, or the refusal of all; none is our fault."""
    waiting = set(range(1, len(requests) + 1))
    items = [[number, int(operation), *arguments] for number, (operation, arguments) in enumerate(requests, 1)]
    raw.send([raw.client_id, 1, 0, 1, items])  # 1 ms: some wait for a revision that never comes
    while waiting:
        for sequence, code, *_ in raw.receive()[2]:
            assert code != -Code.INTERNAL
            waiting -= {sequence} if sequence else set(waiting)


@settings(HOSTILE, max_examples=60)
@given(some_requests)
def test_any_arguments_of_any_operation(raw: RawClient, requests: list[tuple[Op, list[Any]]]) -> None:
    every_one_is_answered(raw, requests)


@pytest.mark.soak
@settings(HOSTILE, max_examples=20_000, derandomize=False)
@given(some_requests)
def test_any_arguments_of_any_operation_for_long(raw: RawClient, requests: list[tuple[Op, list[Any]]]) -> None:
    every_one_is_answered(raw, requests)


def test_any_bytes_as_a_message(raw: RawClient) -> None:
    random = Random(7)
    good = pack([1, 1, 0, 1000, [[1, int(Op.PUT), b"key", b"value", 0, 1], [2, int(Op.TXN), [], [], []]]])
    for _ in range(300):
        frame = bytearray(good if random.random() < 0.7 else random.randbytes(random.randrange(40)))
        for _ in range(random.randrange(4)):
            if frame:
                frame[random.randrange(len(frame))] = random.randrange(256)
        raw.socket.send(bytes(frame))
    still_serves_at_last(raw)


def still_serves_at_last(raw: RawClient) -> None:
    """Asks under a number of its own, and passes over the answers to what came before."""
    raw.send([1, 1, 0, 20_000, [[987_654, int(Op.RANGE), b"key"]]])
    while not any(item[0] == 987_654 and item[1] > 0 for item in raw.receive()[2]):
        pass


@pytest.mark.parametrize(
    "frames", [[b""], [b"", b""], [b"a", b"b"], [pack([1, 1, 0, 9, [[1, 1, b"k"]]]), b""], [b"x"] * 50]
)
def test_the_wrong_number_of_frames_is_passed_over(raw: RawClient, frames: list[bytes]) -> None:
    raw.socket.send_multipart(frames)
    still_serves_at_last(raw)


def test_an_oversize_frame_costs_the_connection_and_no_memory(
    context: zmq.Context[zmq.Socket[bytes]], victim: Server
) -> None:
    doomed = context.socket(zmq.DEALER)
    monitor = doomed.get_monitor_socket(zmq.Event.DISCONNECTED)
    doomed.setsockopt(zmq.RECONNECT_IVL, -1)
    doomed.connect(f"tcp://{victim.native_endpoint}")
    doomed.send(b"\xc6" + bytes(16 << 20))
    assert monitor.poll(20_000)
    doomed.disable_monitor()
    still_serves(RawClient(context, victim.native_endpoint))


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.ROUTER])
def test_other_kinds_of_socket_do_no_harm(context: zmq.Context[zmq.Socket[bytes]], victim: Server, kind: int) -> None:
    other = context.socket(kind)
    other.connect(f"tcp://{victim.native_endpoint}")
    if kind == zmq.REQ:
        other.send(pack([1, 1, 0, 1000, [[1, 1, b"key"]]]))
    still_serves(RawClient(context, victim.native_endpoint))


def test_a_client_cannot_take_the_identity_of_another(context: zmq.Context[zmq.Socket[bytes]], victim: Server) -> None:
    first = RawClient(context, victim.native_endpoint)
    first.socket.setsockopt(zmq.IDENTITY, b"same")  # takes effect at the next connection only
    named = [context.socket(zmq.DEALER) for _ in range(2)]
    for socket in named:
        socket.setsockopt(zmq.IDENTITY, b"same")
        socket.setsockopt(zmq.RCVTIMEO, 20_000)
        socket.connect(f"tcp://{victim.native_endpoint}")
        if socket is named[0]:
            socket.send(pack([1, 1, 0, 1000, [[1, 1, b"key"]]]))
            socket.recv()
    for _ in range(20):
        named[1].send(pack([1, 1, 0, 1000, [[9, 1, b"key"]]]), zmq.NOBLOCK)
        named[0].send(pack([1, 1, 0, 1000, [[1, 1, b"key"]]]))
        assert unpack(named[0].recv())[2][0][0] == 1
    still_serves(first)


def test_numbers_that_collide_in_a_map_cost_no_time(raw: RawClient) -> None:
    """Maps with other keys than strings and bytes are refused: their hashes could be chosen to collide."""
    assert "not msgpack" in refused(raw, msgpack.packb({number << 40: 0 for number in range(1, 100_000)}))[2]
