"""The etcd front door of a worker: the client port, whoever connects to it, and the services behind it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from oarlock.gateway.admission import FOR_LEARNERS, failed, guarded
from oarlock.gateway.grpc.calls import Call
from oarlock.gateway.grpc.connection import MessageLimits
from oarlock.gateway.grpc.requests import Methods
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.http2.frames import looks_like_http2
from oarlock.gateway.http2.keepalive import KeepalivePolicy
from oarlock.gateway.http2.limits import Limits
from oarlock.gateway.service import Backend, Timer
from oarlock.wire.errors import ConfigurationError, LearnerRefusesError, NoLeaderError
from oarlock.wire.logs import get_logger
from oarlock.wire.sockets import LISTEN_BACKLOG, listen_shared
from oarlock.workers.grpc_counts import GrpcCounts
from oarlock.workers.grpc_peer import GrpcExchange, GrpcPeer
from oarlock.workers.knocking import Knocking
from oarlock.workers.long_answers import LongAnswers

log = get_logger(__name__)

MAX_CONNECTIONS: Final = 50_000
"""Of one worker: an idle one costs some 10 kB. More are closed at once, so that they cannot take its memory."""
FIRST_BYTES_TIMEOUT_S: Final = 30.0
"""A connection that says nothing for so long is closed: nobody can tell which protocol it would speak."""
MESSAGE_OVERHEAD_BYTES: Final = 512 << 10
"""A gRPC message may be longer than the longest request by this (etcd, ``grpcOverheadBytes``)."""
HTTP1_STOP_S: Final = 1.0
"""How long requests of HTTP/1.1 that are under way at a stop may take."""
PATIENCE_S: Final = 0.1
"""How long the answer to a ping waits for the answer to the request that it came with, to leave in one write with it:
what a put takes on a busy server, and nothing to a client that waits seconds for the answer to a ping."""
CLOSE_S: Final = 0.01
"""What transports take to write what is left, and the loop to forget them: it aborts if it is closed before."""
WRITE_BUFFER_BYTES: Final = 256 << 10
"""Bytes that a transport holds before its peer is asked to pause."""


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """How the client port is to be.

    Attributes:
        urls: ``http://host:port`` or ``https://host:port`` each, shared with the other workers.
        max_request_bytes: of one request.
        max_concurrent_streams: calls on one connection.
        keepalive: which pings are taken and sent.
        cert_file, key_file: PEM files for https.
        trusted_ca_file: PEM file; certificates of clients are checked against it.
        client_cert_auth: whether clients must show one.
    """

    urls: Sequence[str]
    max_request_bytes: int
    max_concurrent_streams: int
    keepalive: KeepalivePolicy
    cert_file: str = ""
    key_file: str = ""
    trusted_ca_file: str = ""
    client_cert_auth: bool = False


class Http1Port(Protocol):
    """Whoever serves connections that do not speak HTTP/2."""

    async def start(self) -> None:
        """Gets ready."""

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""

    def drain(self) -> None:
        """Takes no more requests; those under way go on, but for streams."""

    async def stop(self, timeout_s: float) -> None:
        """Ends all connections."""


class EtcdDoor:
    """Owns the listening sockets and all connections of the client port.

    Invariant: every `GrpcPeer` that is connected is in ``_peers``, and is in ``_dirty`` when it has something to write.

    Args:
        settings: of the port.
        backend: what services ask.
        methods: what is served over gRPC.
        http1: serves everything else.
        schedule_flush: called when there is something to write; the owner then calls ``flush`` at the end of its turn.
        long_answers: the line for those whose parts are not due yet.
        knocking: told when bytes come.
        counts: of calls, added to here; whoever owns them shows them.
    """

    def __init__(
        self,
        settings: DoorSettings,
        backend: Backend,
        methods: Methods,
        http1: Http1Port,
        schedule_flush: Callable[[], None],
        long_answers: LongAnswers,
        knocking: Knocking,
        counts: GrpcCounts,
    ) -> None:
        self.backend = backend
        self.methods = methods
        self.long_answers = long_answers
        self.knocking = knocking
        self.counts = counts
        self.limits = Limits(concurrent_streams=min(settings.max_concurrent_streams, Limits().concurrent_streams))
        self.message_limits = MessageLimits(message_bytes=settings.max_request_bytes + MESSAGE_OVERHEAD_BYTES)
        self.keepalive = settings.keepalive
        self._settings = settings
        self._http1 = http1
        self._schedule_flush = schedule_flush
        self._servers: list[asyncio.Server] = []
        self._peers: set[GrpcPeer] = set()
        self._dirty: list[GrpcPeer] = []
        self._late: list[GrpcPeer] = []
        self._is_learner = backend.is_learner
        self.connections = 0
        self._tls = _tls_context(settings)
        self._listeners = [listen_shared(_tcp(url)) for url in settings.urls]

    # Life

    async def start(self) -> None:
        """Accepts connections."""
        loop = asyncio.get_running_loop()
        await self._http1.start()
        for url, listener in zip(self._settings.urls, self._listeners, strict=True):
            tls = self._tls if url.startswith("https") else None
            server = await loop.create_server(lambda: FirstBytes(self), sock=listener, ssl=tls, backlog=LISTEN_BACKLOG)
            self._servers.append(server)

    def drain(self) -> None:
        """Accepts no more connections and calls; those that are open go on."""
        for server in self._servers:
            server.close()
        for peer in tuple(self._peers):
            peer.shut_down()
        self._http1.drain()

    def close(self) -> None:
        """Closes all connections; what is written leaves first. ``wait_closed`` completes it."""
        for server in self._servers:
            server.close()
        for peer in tuple(self._peers):
            peer.close()

    async def wait_closed(self) -> None:
        """Waits for HTTP/1.1 requests under way, for a while, and until the sockets are closed."""
        await self._http1.stop(HTTP1_STOP_S)
        for listener in self._listeners:
            listener.close()
        await asyncio.sleep(CLOSE_S)

    # Connections

    def admit(self, transport: asyncio.Transport) -> bool:
        """Whether one more connection is taken."""
        if self.connections >= MAX_CONNECTIONS:
            log.warning("too many connections", most=MAX_CONNECTIONS)
            return False
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.connections += 1
        return True

    def speaks_grpc(self, transport: asyncio.Transport) -> asyncio.Protocol:
        """The protocol of a connection that began as HTTP/2."""
        peer = GrpcPeer(self, transport)
        self._peers.add(peer)
        return peer

    def speaks_http1(self) -> asyncio.Protocol:
        """The protocol of one that did not; HTTP/1.1 counts its own connections."""
        self.connections -= 1
        return self._http1.protocol()

    def mark(self, peer: GrpcPeer) -> None:
        """A connection has something to write."""
        if not self._dirty:
            self._schedule_flush()
        self._dirty.append(peer)

    def put_off(self, peer: GrpcPeer) -> None:
        """A connection has something to write that may wait for an answer, but not for long."""
        if not self._late:
            self.backend.call_later(PATIENCE_S, self._flush_late)
        self._late.append(peer)

    def _flush_late(self) -> None:
        late, self._late = self._late, []
        for peer in late:
            peer.is_late = False
            peer.flush()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Calls ``callback`` in ``delay_s`` seconds."""
        return self.backend.call_later(delay_s, callback)

    def forget(self, peer: GrpcPeer) -> None:
        """A connection is gone."""
        self._peers.discard(peer)
        self.long_answers.leave(peer)
        self.connections -= 1

    def flush(self) -> None:
        """Writes what was answered since the last flush. To be called in every turn that may have changed anything."""
        self._is_learner = self.backend.is_learner  # looked up once a turn, not once a call
        if self._dirty:
            dirty, self._dirty = self._dirty, []
            for peer in dirty:
                peer.flush()

    # Calls

    def call(self, call: Call, exchange: GrpcExchange, message: bytes | None) -> None:
        """Begins a call, unless this member cannot serve it now."""
        method, metadata = call.request.method, call.request.metadata
        handler: Any = method.handler
        if metadata and not self.backend.has_leader and call.request.value("hasleader") == "true":
            exchange.finish(Status.of(NoLeaderError()))
        elif self._is_learner and method.path not in FOR_LEARNERS:
            exchange.finish(Status.of(LearnerRefusesError()))
        elif message is None:
            guarded(exchange, handler, exchange)
        else:
            try:  # as guarded, in place
                handler(exchange, message)
            except Exception as problem:
                failed(exchange, problem)


class FirstBytes(asyncio.Protocol):
    """A connection of which nobody knows yet what it speaks."""

    def __init__(self, door: EtcdDoor) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admits it, for a while."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one by its methods
        if not self._door.admit(self._transport):  # type: ignore[arg-type]
            self._transport = None
            transport.close()
            return
        self._timer = asyncio.get_running_loop().call_later(FIRST_BYTES_TIMEOUT_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Decides, and hands the connection over."""
        transport = self._transport
        if transport is None:
            return
        self._head += bytes(data)
        is_http2 = looks_like_http2(self._head)
        if is_http2 is None:
            return
        self._stop_timer()
        head, self._transport = self._head, None
        if is_http2:
            peer = self._door.speaks_grpc(transport)
            transport.set_protocol(peer)
            peer.data_received(head)
        else:
            protocol = self._door.speaks_http1()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(head)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went before it said anything."""
        self._stop_timer()
        if self._transport is not None:
            self._transport = None
            self._door.connections -= 1

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _tcp(url: str) -> str:
    parts = urlsplit(url)
    return f"tcp://{parts.netloc}"


def _tls_context(settings: DoorSettings) -> ssl.SSLContext | None:
    if not any(url.startswith("https") for url in settings.urls):
        return None
    if not settings.cert_file or not settings.key_file:
        raise ConfigurationError("listen-client-urls: https needs cert-file and key-file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as problem:
        files = f"cert-file {settings.cert_file}, key-file {settings.key_file}"
        raise ConfigurationError(f"{files}: cannot be used: {problem}") from problem
    if settings.client_cert_auth or settings.trusted_ca_file:
        context.verify_mode = ssl.CERT_REQUIRED if settings.client_cert_auth else ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(settings.trusted_ca_file)
        except (OSError, ssl.SSLError) as problem:
            raise ConfigurationError(
                f"trusted-ca-file {settings.trusted_ca_file}: cannot be used: {problem}"
            ) from problem
    return context
