"""KV.Range and KV.RangeStream: one read of any length, taken from the worker in pages and encoded in slices.

A worker must not stand still for a list of a hundred thousand keys. So what can be paged is asked for in pages, all at
the revision of the first one, which come as the bytes that they are in the answer; and rows that come otherwise, sorted
or filtered, become bytes a millisecond or two at a time. Where a compaction overtakes a list of the newest revision, it
begins anew: the client asked for no revision that could be too old.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.proto.rpc_pb2 import RangeRequest
from oarlock.gateway.service import Backend, EncodedRows, Exchange, is_error
from oarlock.gateway.services.arguments import is_filtered, range_arguments
from oarlock.gateway.services.key_values import encoded, encoded_one
from oarlock.gateway.varints import varint
from oarlock.wire.errors import Code, ResultTooLargeError
from oarlock.wire.operations import CUT, KeyValue, Op, RangeFlag

SLICE_ROWS: Final = 2_000
"""Rows encoded before others get their turn: about three milliseconds."""
MAX_RESPONSE_BYTES: Final = 512 << 20
"""Of one response: a million keys of 256 bytes fit; more would take the worker's memory (RangeStream has no bound)."""
MAX_BEGINNINGS: Final = 5
"""How often a list begins anew: each time a compaction must have come in between."""
MAX_QUEUED_BYTES: Final = 4 << 20
"""Of a stream's pages that its client has not read: the next page waits until they have left."""

_RANGE: Final = int(Op.RANGE)
_PAGED: Final = int(RangeFlag.PAGED)
_NO_COUNT: Final = int(RangeFlag.NO_COUNT)
_NEXT_PAGE: Final = int(RangeFlag.SERIALIZABLE | RangeFlag.NO_COUNT | RangeFlag.PAGED)
_SERIALIZABLE: Final = int(RangeFlag.SERIALIZABLE)
_KVS_TAG: Final = b"\x12"
_COUNT_OF_ONE: Final = b"\x20\x01"


def plain_get(message: bytes) -> tuple[bytes, int] | None:
    """Key and native flags of a `RangeRequest` that has nothing but a key of less than 128 bytes, and perhaps
    ``serializable``, as every client encodes them; None for any other. Most reads are such, and this takes a quarter
    of the time of the general way.

    >>> plain_get(b"\\x0a\\x01k"), plain_get(b"\\x0a\\x01k\\x38\\x01"), plain_get(b"\\x0a\\x01k\\x18\\x05")
    ((b'k', 0), (b'k', 1), None)
    """
    size = len(message) - 2
    if size > 0 and message[0] == 0x0A:
        length = message[1]
        if length == size < 128:
            return message[2:], 0
        if length == size - 2 < 126 and message[-2:] == b"\x38\x01":
            return message[2:-2], _SERIALIZABLE
    return None


class Ranges:
    """The calls that read."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def range(self, exchange: Exchange, message: bytes) -> None:
        """KV.Range."""
        plain = plain_get(message)
        if plain is not None:
            self._get(exchange, [_RANGE, *plain])
            return
        request = RangeRequest.FromString(message)
        if request.range_end:
            _Paged(self._backend, request, _OneResponse(self._backend, exchange)).begin()
        else:
            self._get(exchange, [_RANGE, *range_arguments(request)])

    def range_stream(self, exchange: Exchange, message: bytes) -> None:
        """KV.RangeStream."""
        request = RangeRequest.FromString(message)
        if request.sort_order == RangeRequest.DESCEND or (
            request.sort_order and request.sort_target != RangeRequest.KEY
        ):
            exchange.finish(Status(Code.UNIMPLEMENTED, "RangeStream does not support custom sort orders"))
        elif is_filtered(request):
            exchange.finish(Status(Code.UNIMPLEMENTED, "RangeStream does not support revision filters"))
        else:
            _Paged(self._backend, request, _ManyResponses(self._backend, exchange)).begin()

    def _get(self, exchange: Exchange, asked: list[Any]) -> None:
        backend = self._backend

        def done(item: Any) -> None:
            if item[1] < 0:
                exchange.fail(item)
                return
            kvs, more, count = item[2]
            reply = backend.header_field(item[1])
            if count == 1 and kvs and not more:
                exchange.reply(reply + encoded_one(kvs[0], tag=_KVS_TAG) + _COUNT_OF_ONE)
            else:
                exchange.reply(reply + encoded(kvs, field=2) + range_ending(more, count))

        backend.submit(asked, done)


class _Sink(ABC):
    """Where the rows of a read go.

    Args:
        backend: for headers and turns.
        exchange: of the client.
    """

    def __init__(self, backend: Backend, exchange: Exchange) -> None:
        self.backend = backend
        self.exchange = exchange

    @abstractmethod
    def restart(self) -> bool:
        """Forgets all rows. False: some have left already."""

    @abstractmethod
    def rows(self, body: bytes, go_on: Callable[[], None]) -> None:
        """Takes rows as fields of a RangeResponse; calls ``go_on`` when it can take more."""

    @abstractmethod
    def end(self, revision: int, more: bool, count: int) -> None:
        """There are no more."""


class _OneResponse(_Sink):
    """All rows in one message."""

    def __init__(self, backend: Backend, exchange: Exchange) -> None:
        super().__init__(backend, exchange)
        self._parts: list[bytes] = []
        self._bytes = 0

    def restart(self) -> bool:
        self._parts, self._bytes = [], 0
        return True

    def rows(self, body: bytes, go_on: Callable[[], None]) -> None:
        self._parts.append(body)
        self._bytes += len(body)
        if self._bytes > MAX_RESPONSE_BYTES:
            self.exchange.finish(Status.of(ResultTooLargeError()))
        else:
            go_on()

    def end(self, revision: int, more: bool, count: int) -> None:
        parts = (self.backend.header_field(revision), *self._parts, range_ending(more, count))
        self.exchange.reply_in_parts([part for part in parts if part])


class _ManyResponses(_Sink):
    """Rows as they come, a message a slice; the header, ``more`` and ``count`` in the last one."""

    def __init__(self, backend: Backend, exchange: Exchange) -> None:
        super().__init__(backend, exchange)
        self._has_sent = False

    def restart(self) -> bool:
        return not self._has_sent

    def rows(self, body: bytes, go_on: Callable[[], None]) -> None:
        self._has_sent = True
        self._send(body)
        if self.exchange.queued_bytes <= MAX_QUEUED_BYTES:
            go_on()
            return

        def drained() -> None:
            self.exchange.on_drained = None
            go_on()

        self.exchange.on_drained = drained

    def end(self, revision: int, more: bool, count: int) -> None:
        self._send(self.backend.header_field(revision) + range_ending(more, count))
        self.exchange.finish()

    def _send(self, range_response: bytes) -> None:
        self.exchange.send(b"\x0a" + varint(len(range_response)) + range_response)


class _Paged:
    """One read under way.

    Args:
        backend: answers.
        request: of the client.
        sink: takes the rows.
    """

    def __init__(self, backend: Backend, request: RangeRequest, sink: _Sink) -> None:
        self._backend = backend
        self._sink = sink
        self._arguments = range_arguments(request)
        self._next = list(self._arguments)
        self._wants_newest = request.revision <= 0
        # A list to its end is counted as it comes, which spares a walk ahead.
        self._adds_up = request.limit <= 0 and not request.count_only and not is_filtered(request)
        self._beginnings = 0
        self._revision = 0
        self._count = 0

    def begin(self) -> None:
        """Asks for the first page, or for everything where there are no pages."""
        self._beginnings += 1
        self._revision = self._count = 0
        self._next = list(self._arguments)
        self._next[1] |= _PAGED | _NO_COUNT if self._adds_up else _PAGED
        self._ask()

    def _ask(self) -> None:
        self._backend.submit([_RANGE, *self._next], self._take)

    def _take(self, item: Any) -> None:
        exchange = self._sink.exchange
        if exchange.is_over:
            return
        if is_error(item):
            is_overtaken = self._revision and self._wants_newest and -item[1] == Code.OUT_OF_RANGE
            if is_overtaken and self._beginnings < MAX_BEGINNINGS and self._sink.restart():
                self.begin()
            else:
                exchange.fail(item)
            return
        rows, more, count = item[2]
        if self._adds_up or not self._revision:
            self._count += count
        self._revision = self._revision or item[1]
        if type(rows) is not EncodedRows:
            self._slices(iter(rows), bool(more))
        elif rows.body:
            self._sink.rows(rows.body, lambda: self._after_page(rows, more))
        else:
            self._after_page(rows, more)

    def _after_page(self, rows: EncodedRows, more: int | bool) -> None:
        if self._sink.exchange.is_over:
            return
        if more == CUT:
            self._next_page(rows)
        else:
            self._sink.end(self._revision, bool(more), self._count)

    def _slices(self, rows: Iterator[KeyValue], more: bool) -> None:
        if self._sink.exchange.is_over:
            return
        part = list(islice(rows, SLICE_ROWS))
        if part:
            self._sink.rows(encoded(part, field=2), lambda: self._next_slice(rows, more))
        else:
            self._sink.end(self._revision, more, self._count)

    def _next_slice(self, rows: Iterator[KeyValue], more: bool) -> None:
        self._backend.call_later(0.0, lambda: self._slices(rows, more))

    def _next_page(self, page: EncodedRows) -> None:
        self._next[0] = page.last_key + b"\0"
        self._next[1] = self._next[1] | _NEXT_PAGE
        if self._next[3] > 0:
            self._next[3] -= page.length
        if self._wants_newest:
            self._next[4] = self._revision
        self._ask()


def range_ending(more: bool, count: int) -> bytes:
    """``more`` and ``count`` of a RangeResponse."""
    return (b"\x18\x01" if more else b"") + (b"\x20" + varint(count) if count else b"")
