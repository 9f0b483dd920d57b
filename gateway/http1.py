"""HTTP/1.1 on the client port: etcd's JSON API and its pages, by aiohttp.

The port's owner accepts connections and gives those that do not speak HTTP/2 to a `protocol`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web

from oarlock.gateway.grpc.connection import DEFAULT_MESSAGE_LIMITS
from oarlock.gateway.grpc.requests import Methods
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.http_pages import HttpPages, Pages
from oarlock.gateway.json.api import JsonApi
from oarlock.gateway.json.carriers import HttpSink, WebSocketSink, WebSocketSource, body_of, websocket_headers
from oarlock.gateway.json.counting import CountsOf, Unread
from oarlock.gateway.json.routes import OLD_PREFIX, PREFIX, Route
from oarlock.gateway.service import Backend
from oarlock.wire.errors import StoppedError
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

FIRST_REQUEST_S: Final = 20.0
"""For the headers of a connection's first request to arrive; long enough for anybody who means it."""
KEEPALIVE_S: Final = 75.0
"""For the headers of the next request. Load balancers reuse connections for a minute."""
LINGER_S: Final = 2.0
"""For the rest of a body that nobody wants, so that its sender sees the answer."""
MAX_CONNECTIONS: Final = 4096
"""Of a worker. One costs 20 kB when idle."""
MAX_HEADER_BYTES: Final = 8190
"""Of the request line, and of each header: tokens are shorter."""
READ_BYTES: Final = 65_536
"""Of a body that wait to be looked at."""

_ANYONE: Final = "*"
_SERVER: Final = {"Server": "oarlock"}
"""In place of the library's name and version, which are nobody's business."""
_ALLOWED: Final = {
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE",
    "Access-Control-Allow-Headers": "accept, content-type, authorization",
}
_nobody: Final = logging.Logger("oarlock.gateway.http1", logging.CRITICAL)
"""What the library has to say of malformed requests: a traceback for each, by which anybody could fill the log."""
_STOPPED: Final = Status.of(StoppedError())
_CLIENT_IS_GONE: Final = 499
"""Which nobody sees."""
_TOO_MANY: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Http1Settings:
    """What an administrator chooses.

    Attributes:
        cors: origins of web pages that may use the server, ``*`` for all (``--cors``).
        host_whitelist: names by which clients may call the server without TLS, ``*`` for any (``--host-whitelist``): it
            keeps out web pages that rebind a name of theirs to the server's address (CVE-2018-5702).
        enable_json: whether there is a JSON API (``--enable-grpc-gateway``).
        message_bytes: the longest request, serialized.
        max_connections: at a time.
    """

    cors: frozenset[str] = frozenset({_ANYONE})
    host_whitelist: frozenset[str] = frozenset({_ANYONE})
    enable_json: bool = True
    message_bytes: int = DEFAULT_MESSAGE_LIMITS.message_bytes
    max_connections: int = MAX_CONNECTIONS


class Http1:
    """Serves HTTP/1.1 on connections that somebody else accepts.

    Args:
        services: the handlers of the JSON API.
        backend: asked whether reads are answered, for the health pages.
        pages: what the pages tell.
        settings: what was chosen.
        counts_of: where calls of the JSON API are counted.
    """

    def __init__(
        self,
        services: Methods,
        backend: Backend,
        pages: Pages,
        settings: Http1Settings,
        counts_of: CountsOf = Unread,
    ) -> None:
        self._settings = settings
        self._api = JsonApi(services, backend, settings.message_bytes, counts_of)
        self._pages = HttpPages(backend, pages)
        self._server: web.Server | None = None
        self._is_draining = False
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    async def start(self) -> None:
        """Gets ready for connections."""
        self._server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            logger=_nobody,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            read_bufsize=READ_BYTES,
        )

    def protocol(self) -> asyncio.Protocol:
        """What serves one more connection: its owner calls ``connection_made`` and ``data_received``.

        With too many of them it is something that refuses the connection.
        """
        assert self._server is not None
        if len(self._server.connections) >= self._settings.max_connections:
            return _Refusal()
        handler = self._server()
        self._silent[handler] = asyncio.get_running_loop().call_later(FIRST_REQUEST_S, self._give_up, handler)
        return handler

    def drain(self) -> None:
        """Ends streams, and refuses new requests; other calls go on."""
        self._is_draining = True
        self._api.break_off(_STOPPED, streams_only=True)

    async def stop(self, timeout_s: float) -> None:
        """Ends what is still open, and closes all connections.

        Args:
            timeout_s: for clients to take the last of their answers.
        """
        if self._server is None:
            return
        self.drain()
        self._api.break_off(_STOPPED, streams_only=False)
        for timer in self._silent.values():
            timer.cancel()
        self._silent.clear()
        await self._server.shutdown(timeout_s)
        self._server = None

    def _give_up(self, handler: web.RequestHandler) -> None:
        """A connection has sent no request so far."""
        del self._silent[handler]
        handler.force_close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except web.HTTPException as refused:  # by the library: no proper upgrade
            return _text(refused.status, f"{refused.reason}\n", _SERVER)
        except ConnectionError:
            return web.Response(status=_CLIENT_IS_GONE)
        except Exception:
            log.exception("a request could not be handled", path=request.path)
            return _text(500, "oarlock: internal error\n", _SERVER)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        timer = self._silent.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        if self._is_draining:
            return web.Response(status=503, headers={**_SERVER, "Connection": "close"})
        if not self._is_known_host(request):
            return _text(421, "the Host header is not in the host-whitelist of this server\n", _SERVER)
        headers = self._headers(request)
        if request.method == "OPTIONS":
            return web.Response(headers=headers)
        if self._settings.enable_json and request.path.startswith((PREFIX, OLD_PREFIX)):
            return await self._call(request, headers)
        response = await self._pages.answer(request)
        response.headers.update(headers)
        return response

    async def _call(self, request: web.BaseRequest, headers: Mapping[str, str]) -> web.StreamResponse:
        """A call of the JSON API; etcd 3.5 tells of wrong paths and methods as text."""
        route = self._api.route(request.path)
        if route is None:
            return _text(404, "Not Found\n", headers)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._call_by_websocket(route, request, headers)
        if request.method != "POST":
            return _text(405, "Method Not Allowed\n", {**headers, "Allow": "POST"})
        sink = HttpSink(request, headers)
        try:
            await self._api.serve(route, request.headers, body_of(request), sink)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()  # nobody reads: closing would wait for it
        return sink.response

    async def _call_by_websocket(
        self, route: Route, request: web.BaseRequest, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        if "Origin" in request.headers and "Access-Control-Allow-Origin" not in headers:
            return _text(403, "this origin is not allowed to use the server\n", headers)
        sink = WebSocketSink(2 * self._settings.message_bytes)
        await sink.socket.prepare(request)
        source = WebSocketSource(sink.socket)
        call = asyncio.create_task(self._api.serve(route, websocket_headers(request), source.body(), sink))
        pump = asyncio.create_task(source.pump())
        try:
            await asyncio.wait({call, pump}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            call.cancel()
            pump.cancel()
            await asyncio.gather(call, pump, return_exceptions=True)
        if not call.cancelled() and not isinstance(problem := call.exception(), ConnectionError | TimeoutError | None):
            raise problem
        await sink.close()
        return sink.socket

    def _is_known_host(self, request: web.BaseRequest) -> bool:
        known = self._settings.host_whitelist
        return _ANYONE in known or request.secure or _without_port(request.headers.get("Host", "")) in known

    def _headers(self, request: web.BaseRequest) -> dict[str, str]:
        origin = _ANYONE if _ANYONE in self._settings.cors else request.headers.get("Origin", "")
        if origin not in self._settings.cors:
            return dict(_SERVER)
        return {**_SERVER, "Access-Control-Allow-Origin": origin, **_ALLOWED}


class _Refusal(asyncio.Protocol):
    """Serves a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writable = cast(asyncio.WriteTransport, transport)  # uvloop's is one by its methods
        writable.write(_TOO_MANY)
        writable.close()


def _without_port(host: str) -> str:
    """``localhost:2379`` and ``[::1]:2379`` without the port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _text(status: int, text: str, headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, text=text, headers={**headers, "X-Content-Type-Options": "nosniff"})
