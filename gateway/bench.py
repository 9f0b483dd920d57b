"""What a unary call costs in this package alone, without sockets: ``python -m oarlock.gateway.bench``.

A client's bytes are made beforehand: the first call teaches the header table, every other has the same block of a few
indexes, as real clients send it. Reads of 1, 10 and 100 calls stand for a lone client, some, and a busy connection.
"""

from __future__ import annotations

import time

from hpack.hpack import Encoder

from oarlock.gateway.grpc.calls import RequestReceived
from oarlock.gateway.grpc.connection import GrpcConnection
from oarlock.gateway.grpc.messages import framed
from oarlock.gateway.grpc.requests import Method, methods_by_path
from oarlock.gateway.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
    settings_frame,
    window_update_frame,
)

_PATH = "/etcdserverpb.KV/Put"
_METHODS = methods_by_path(Method(_PATH))
_CALLS = 20_000
_REQUEST = framed(b"r" * 80)
_ANSWER = b"a" * 40
_GREETING = PREFACE + settings_frame({}) + frame(SETTINGS, 1, 0) + window_update_frame(0, 1 << 30)
_FIELDS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", _PATH),
    (":authority", "127.0.0.1:2379"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.71.0"),
    ("te", "trailers"),
]


def call_bytes(encoder: Encoder, stream_id: int, timeout: str = "") -> bytes:
    """One unary call as a client sends it.

    Args:
        encoder: the client's HPACK state.
        stream_id: odd, larger with every call.
        timeout: the value of ``grpc-timeout``, none if empty.
    """
    block = encoder.encode([*_FIELDS, ("grpc-timeout", timeout)] if timeout else _FIELDS)
    return frame(HEADERS, END_HEADERS, stream_id, block) + frame(DATA, END_STREAM, stream_id, _REQUEST)


def run(calls_a_read: int, *, with_timeouts: bool = False) -> float:
    """Microseconds a call, with ``calls_a_read`` calls in each read; each call with a timeout of its own if asked
    for."""
    encoder = Encoder()
    calls = [call_bytes(encoder, 2 * n + 1, f"{n % 977 + 1000}m" if with_timeouts else "") for n in range(_CALLS)]
    reads = [b"".join(calls[at : at + calls_a_read]) for at in range(0, _CALLS, calls_a_read)]
    connection = GrpcConnection(_METHODS, 0.0)
    connection.receive(_GREETING, 0.0)
    answered = 0
    began_s = time.process_time()
    for data in reads:
        for event in connection.receive(data, 0.0):
            if type(event) is RequestReceived:
                answered += connection.reply(event.call, _ANSWER)
        connection.take_output()
    spent_s = time.process_time() - began_s
    assert answered == _CALLS
    return spent_s / _CALLS * 1e6


def main() -> None:
    """Prints a line for each number of calls a read."""
    for with_timeouts in (False, True):
        for calls_a_read in (1, 10, 100):
            best = min(run(calls_a_read, with_timeouts=with_timeouts) for _ in range(3))
            kind = "each its own timeout" if with_timeouts else "equal headers"
            print(f"{calls_a_read:4} calls a read, {kind:21} {best:6.1f} µs a call")


if __name__ == "__main__":
    main()
