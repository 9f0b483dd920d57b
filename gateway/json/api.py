"""Carries a call of the JSON API from its body to its answer, over whatever brings the one and takes the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, cast

from oarlock.gateway.admission import guarded, refusal
from oarlock.gateway.grpc.connection import DEFAULT_MESSAGE_LIMITS
from oarlock.gateway.grpc.requests import Method, Methods, parse_timeout
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.json import answers
from oarlock.gateway.json.answers import Sink
from oarlock.gateway.json.bodies import Arrivals, Body, RefusedError, Source
from oarlock.gateway.json.counting import CountsOf, Unread
from oarlock.gateway.json.errors import error_body, http_status
from oarlock.gateway.json.exchange import JsonExchange
from oarlock.gateway.json.metadata import HeaderMetadata
from oarlock.gateway.json.routes import Route, routes
from oarlock.gateway.service import Backend
from oarlock.wire.errors import Code

_CANCELED: Final = Status(Code.CANCELED, "context canceled")
_EXPIRED: Final = Status(Code.DEADLINE_EXCEEDED, "context deadline exceeded")


class JsonApi:
    """The calls by their paths.

    Args:
        services: the handlers.
        backend: knows whether this member serves calls now.
        message_bytes: the longest serialized message that is taken.
        counts_of: where calls are counted.
    """

    def __init__(
        self,
        services: Methods,
        backend: Backend,
        message_bytes: int = DEFAULT_MESSAGE_LIMITS.message_bytes,
        counts_of: CountsOf = Unread,
    ) -> None:
        self._counts_of = counts_of
        self._arrivals = Arrivals()
        self._services = services
        self._backend = backend
        self._routes: Mapping[str, Route] = routes()
        self._message_bytes = message_bytes
        self._open: dict[JsonExchange, bool] = {}  # whether it answers with a stream

    def route(self, path: str) -> Route | None:
        """What is behind ``path``, None if nothing."""
        return self._routes.get(path)

    def break_off(self, status: Status, *, streams_only: bool) -> None:
        """Ends calls that are open: those that answer with a stream, since they would go on for ever, or all."""
        for exchange, is_stream in tuple(self._open.items()):
            if is_stream or not streams_only:
                exchange.break_off(status)

    async def serve(self, route: Route, headers: Mapping[str, str], source: Source, sink: Sink) -> None:
        """One call, from its first byte to its end. Cancelling this cancels the call.

        Args:
            route: what is called.
            headers: of the request, asked for by names in lower case.
            source: its body.
            sink: takes the answer.

        Raises:
            ConnectionError: the client is gone.
            TimeoutError: it has not read for too long.
        """
        body = Body(self._arrivals, source, route.request, self._message_bytes)
        try:
            await self._serve(route, headers, body, sink)
        finally:
            body.close()

    async def _serve(self, route: Route, headers: Mapping[str, str], body: Body, sink: Sink) -> None:
        try:
            method = self._method(route)
            timeout_s = _timeout_s(headers)
            message = await _first_message(method, body)
        except RefusedError as refused:
            await sink.whole(http_status(refused.status.code), error_body(refused.status))
            return
        exchange = JsonExchange(HeaderMetadata(headers), self._counts_of(method.path))
        self._open[exchange] = method.returns_stream
        try:
            async with _Deadline(exchange, timeout_s), _Feeder(exchange, body) as feeder:
                refused_as = refusal(method, exchange, self._backend)
                if refused_as is None:
                    feeder.begin(method, message)
                else:
                    exchange.finish(refused_as)
                answer = answers.stream if method.returns_stream else answers.reply
                await answer(exchange, route.response, sink)
        finally:
            del self._open[exchange]
            exchange.break_off(_CANCELED)

    def _method(self, route: Route) -> Method:
        method = self._services.get(route.method)
        if method is None:
            _, service, name = route.method.decode("ascii").split("/")
            raise RefusedError(Status(Code.UNIMPLEMENTED, f"unknown method {name} for service {service}"))
        return method


def _timeout_s(headers: Mapping[str, str]) -> float | None:
    """How long the client waits, None for ever."""
    text = headers.get("grpc-timeout")
    if text is None:
        return None
    try:
        return parse_timeout(text.encode("utf-8", "surrogateescape"))
    except ValueError:
        raise RefusedError(Status(Code.INVALID_ARGUMENT, f"invalid grpc-timeout: {text}")) from None


async def _first_message(method: Method, body: Body) -> bytes | None:
    """What the call begins with; etcd has another code for what cannot be read there, if the call takes a stream."""
    try:
        return await body.first()
    except RefusedError as refused:
        if method.takes_stream and refused.status.code is Code.INVALID_ARGUMENT:
            raise RefusedError(Status(Code.UNKNOWN, refused.status.message)) from None
        raise


class _Deadline:
    """Ends a call when the client waits no longer."""

    def __init__(self, exchange: JsonExchange, timeout_s: float | None) -> None:
        self._exchange = exchange
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        if self._timeout_s is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._timeout_s, self._exchange.break_off, _EXPIRED)

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Feeder:
    """Begins a call, and feeds it the messages of a stream while it goes on."""

    def __init__(self, exchange: JsonExchange, body: Body) -> None:
        self._exchange = exchange
        self._body = body
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> _Feeder:
        return self

    def begin(self, method: Method, first: bytes | None) -> None:
        exchange, handler = self._exchange, cast(Callable[..., None], method.handler)
        if not method.takes_stream:
            exchange.received(first or b"")
            guarded(exchange, handler, exchange, first or b"")
            return
        guarded(exchange, handler, exchange)
        if first is not None:
            exchange.received(first)
        if first is not None and exchange.on_message is not None:
            guarded(exchange, exchange.on_message, first)
        self._task = asyncio.create_task(self._feed())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _feed(self) -> None:
        try:
            await self._body.feed(self._exchange)
        except RefusedError as refused:
            self._exchange.break_off(refused.status)
        except ConnectionError:
            self._exchange.break_off(_CANCELED)
