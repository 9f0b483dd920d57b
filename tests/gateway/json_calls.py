"""A service made for tests of the JSON API, and a backend that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from oarlock.gateway.grpc.requests import Method, Methods, methods_by_path
from oarlock.gateway.grpc.status import OK, Status
from oarlock.gateway.health_pages import Health
from oarlock.gateway.json.bodies import Source
from oarlock.gateway.proto import rpc_pb2
from oarlock.gateway.service import Exchange
from oarlock.wire.errors import Code


class FakeBackend:
    """Answers every request with ``item``, if there is one."""

    def __init__(self) -> None:
        self.has_leader = True
        self.is_learner = False
        self.item: list[Any] | None = [1, 7, None]

    def submit(self, request: list[Any], done: Callable[[Any], None]) -> None:
        assert type(request[0]) is int
        if self.item is not None:
            done(self.item)


class FakePages:
    """A healthy server, until told otherwise."""

    def __init__(self) -> None:
        self.now = Health(1, 1, True, (), False)

    def health(self) -> Health:
        return self.now

    def metrics(self) -> tuple[bytes, str]:
        return b"things_total 2\n", "text/plain; version=0.0.4"


class FakeServices:
    """Range answers with the key that was asked for, Put never, Delete with an error; Watch echoes watch ids.

    Attributes:
        calls: every exchange, in order.
        ended: how calls were ended from outside.
    """

    def __init__(self) -> None:
        self.calls: list[Exchange] = []
        self.ended: list[Status] = []
        self.requests_ended = 0

    def table(self) -> Methods:
        return methods_by_path(
            Method("/etcdserverpb.KV/Range", handler=self._range),
            Method("/etcdserverpb.KV/Put", handler=self._opened),
            Method("/etcdserverpb.KV/DeleteRange", handler=self._fail),
            Method("/etcdserverpb.KV/Txn", handler=self._mistake),
            Method("/etcdserverpb.Watch/Watch", takes_stream=True, returns_stream=True, handler=self._watch),
            Method("/etcdserverpb.Maintenance/Snapshot", returns_stream=True, handler=self._snapshot),
        )

    def _opened(self, exchange: Exchange, message: bytes = b"") -> None:
        self.calls.append(exchange)
        exchange.on_ended = self.ended.append

    def _range(self, exchange: Exchange, message: bytes) -> None:
        self._opened(exchange)
        asked = rpc_pb2.RangeRequest.FromString(message)
        answer = rpc_pb2.RangeResponse(count=max(asked.limit, 1))
        for _ in range(max(asked.limit, 1)):
            answer.kvs.add(key=asked.key, value=b"v" * 100)
        exchange.reply(answer.SerializeToString())

    def _fail(self, exchange: Exchange, message: bytes) -> None:
        self._opened(exchange)
        exchange.finish(Status(Code.NOT_FOUND, 'no "such" thing'))

    def _mistake(self, exchange: Exchange, message: bytes) -> None:
        raise ZeroDivisionError

    def _watch(self, exchange: Exchange) -> None:
        self._opened(exchange)

        def on_message(message: bytes) -> None:
            request = rpc_pb2.WatchRequest.FromString(message)
            if request.HasField("cancel_request"):
                exchange.finish(OK if request.cancel_request.watch_id == 0 else Status(Code.UNAVAILABLE, "gone"))
            else:
                response = rpc_pb2.WatchResponse(watch_id=request.create_request.watch_id, created=True)
                exchange.send(response.SerializeToString())

        def on_requests_ended() -> None:
            self.requests_ended += 1

        exchange.on_message, exchange.on_requests_ended = on_message, on_requests_ended

    def _snapshot(self, exchange: Exchange, message: bytes) -> None:
        """Sends for as long as the client reads."""
        self._opened(exchange)
        blob = rpc_pb2.SnapshotResponse(blob=bytes(50_000)).SerializeToString()

        def send_more() -> None:
            while not exchange.is_over and exchange.queued_bytes < 100_000:
                exchange.send(blob)

        exchange.on_drained = lambda: asyncio.get_running_loop().call_soon(send_more)  # type: ignore[assignment]
        send_more()


class Collected:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.ended = False

    async def whole(self, status: int, body: bytes) -> None:
        assert not self.status
        self.status, self.body, self.ended = status, body, True

    async def begin(self) -> None:
        assert not self.status
        self.status = 200

    async def write(self, data: bytes) -> None:
        assert self.status
        assert not self.ended
        self.body += data

    async def end(self) -> None:
        assert self.status
        assert not self.ended
        self.ended = True


async def chunks(*parts: bytes) -> Source:
    """A body that arrives in parts."""
    for part in parts:
        await asyncio.sleep(0)
        yield part


NO_HEADERS: Mapping[str, str] = {}
