"""Our end joined to a client's end that others wrote: the `h2` library, which checks all that we send."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from oarlock.gateway.grpc.calls import CallOpened, MessageReceived, RequestReceived, RequestsEnded
from oarlock.gateway.grpc.connection import GrpcConnection
from oarlock.gateway.grpc.messages import framed
from oarlock.gateway.grpc.requests import Method, methods_by_path
from oarlock.gateway.grpc.status import Status
from oarlock.wire.errors import Code
from tests.gateway.wire import GRPC

METHODS = methods_by_path(Method("/a.B/Unary"), Method("/a.B/Echo", takes_stream=True, returns_stream=True))


class Joined:
    """An echo server and an h2 client, bytes carried by hand in pieces of a given size."""

    def __init__(self, piece: int = 1 << 20) -> None:
        self.piece = piece
        self.server = GrpcConnection(METHODS, 0.0)
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.bodies: dict[int, bytes] = {}
        self.trailers: dict[int, dict[str, str]] = {}
        self.ended: set[int] = set()
        self.others: list[object] = []
        self.client.initiate_connection()

    def carry(self) -> None:
        """Until both ends have nothing more to say."""
        while True:
            outward, inward = self.client.data_to_send(), self.server.take_output()
            if not outward and not inward:
                return
            for at in range(0, len(outward), self.piece):
                self.serve(outward[at : at + self.piece])
            for at in range(0, len(inward), self.piece):
                self.take(inward[at : at + self.piece])

    def serve(self, sent: bytes) -> None:
        for event in self.server.receive(sent, 0.0):
            if isinstance(event, RequestReceived):
                self.server.reply(event.call, event.message[::-1])
            elif isinstance(event, CallOpened):
                self.server.start(event.call)
            elif isinstance(event, MessageReceived):
                self.server.send(event.call, event.message[::-1])
            elif isinstance(event, RequestsEnded):
                self.server.finish(event.call, Status(Code.OK, "done"))

    def take(self, received: bytes) -> None:
        for event in self.client.receive_data(received):
            if isinstance(event, DataReceived):
                assert event.flow_controlled_length is not None
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if event.flow_controlled_length:
                    self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, TrailersReceived | ResponseReceived):
                self.trailers.setdefault(event.stream_id, {}).update(dict(event.headers))
            elif isinstance(event, StreamEnded):
                self.ended.add(event.stream_id)
            else:
                self.others.append(event)

    def ask(self, path: str) -> int:
        stream_id = self.client.get_next_available_stream_id()
        self.client.send_headers(stream_id, [(name, path if name == ":path" else value) for name, value in GRPC])
        return stream_id

    def send(self, stream_id: int, body: bytes, *, end: bool = False) -> None:
        """As the windows allow, carrying between."""
        while body:
            size = min(self.client.local_flow_control_window(stream_id), self.client.max_outbound_frame_size, len(body))
            if size:
                self.client.send_data(stream_id, body[:size])
                body = body[size:]
            self.carry()
        if end:
            self.client.end_stream(stream_id)
            self.carry()


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_calls_one_after_the_other(piece: int) -> None:
    joined = Joined(piece)
    for n in range(20):
        stream_id = joined.ask("/a.B/Unary")
        joined.send(stream_id, framed(b"message %d" % n), end=True)
        assert joined.bodies[stream_id] == framed((b"message %d" % n)[::-1])
        assert joined.trailers[stream_id]["grpc-status"] == "0"
        assert stream_id in joined.ended


def test_many_calls_at_once() -> None:
    joined = Joined()
    streams = [joined.ask("/a.B/Unary") for _ in range(90)]
    for stream_id in streams:
        joined.client.send_data(stream_id, framed(b"%d" % stream_id), end_stream=True)
    joined.carry()
    assert joined.ended == set(streams)
    assert joined.server.open_calls == 0


def test_a_long_message_there_and_back_through_both_windows() -> None:
    joined = Joined()
    message = bytes(range(256)) * 8_000
    stream_id = joined.ask("/a.B/Unary")
    joined.send(stream_id, framed(message), end=True)
    assert joined.bodies[stream_id] == framed(message[::-1])
    assert stream_id in joined.ended


def test_a_conversation() -> None:
    joined = Joined()
    stream_id = joined.ask("/a.B/Echo")
    joined.carry()
    for n in range(50):
        joined.send(stream_id, framed(b"%02d" % n))
    assert joined.bodies[stream_id] == b"".join(framed((b"%02d" % n)[::-1]) for n in range(50))
    joined.client.end_stream(stream_id)
    joined.carry()
    assert joined.trailers[stream_id]["grpc-message"] == "done"


def test_settings_that_change_in_the_middle() -> None:
    joined = Joined()
    joined.send(joined.ask("/a.B/Unary"), framed(b"first"), end=True)
    changed = {
        SettingCodes.INITIAL_WINDOW_SIZE: 3,
        SettingCodes.HEADER_TABLE_SIZE: 0,
        SettingCodes.MAX_FRAME_SIZE: 20_000,
    }
    joined.client.update_settings(changed)
    joined.carry()
    stream_id = joined.ask("/a.B/Unary")
    joined.send(stream_id, framed(b"after the change"), end=True)
    assert joined.bodies[stream_id] == framed(b"after the change"[::-1])
    assert joined.trailers[stream_id]["grpc-status"] == "0"


def test_a_cancelled_call_leaves_the_connection_alone() -> None:
    joined = Joined()
    stream_id = joined.ask("/a.B/Echo")
    joined.client.reset_stream(stream_id, 8)
    joined.carry()
    assert joined.server.open_calls == 0
    joined.send(joined.ask("/a.B/Unary"), framed(b"x"), end=True)
    assert joined.ended == {3}


def test_an_early_refusal_is_a_clean_end() -> None:
    joined = Joined()
    stream_id = joined.ask("/a.B/Missing")
    joined.carry()
    assert joined.trailers[stream_id]["grpc-status"] == "12"
    assert any(isinstance(event, StreamReset) and event.error_code == 0 for event in joined.others)


def test_pings_are_answered() -> None:
    joined = Joined()
    joined.client.ping(b"12345678")
    joined.carry()
    assert any(isinstance(event, PingAckReceived) for event in joined.others)


def test_the_end_is_announced() -> None:
    joined = Joined()
    joined.carry()
    joined.server.close()
    joined.carry()
    assert any(isinstance(event, ConnectionTerminated) for event in joined.others)
