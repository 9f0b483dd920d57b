"""Calls of etcd's clients, counted under the names that etcd's dashboards and alerts know (go-grpc-prometheus).

A call adds to plain numbers, which costs a tenth of a microsecond; once a second they go into the metrics.
"""

from __future__ import annotations

from typing import Final

from oarlock.gateway.grpc.requests import Method, Methods
from oarlock.wire import metrics
from oarlock.wire.errors import Code
from oarlock.wire.metrics import Growth

_METHOD: Final = ("grpc_type", "grpc_service", "grpc_method")
_AT_ZERO: Final = ("etcdserverpb.", "grpc.health.")
"""Packages whose series exist before their first call, as in etcd: a rate needs a beginning."""

_started = metrics.counter("grpc_server_started_total", "Calls begun.", _METHOD)
_handled = metrics.counter("grpc_server_handled_total", "Calls ended, by their status.", (*_METHOD, "grpc_code"))
_received = metrics.counter("grpc_server_msg_received_total", "Messages from clients.", _METHOD)
_sent = metrics.counter("grpc_server_msg_sent_total", "Messages to clients.", _METHOD)
_received_bytes = metrics.counter("etcd_network_client_grpc_received_bytes_total", "Message bytes from clients.")
_sent_bytes = metrics.counter("etcd_network_client_grpc_sent_bytes_total", "Message bytes to clients.")


class MethodCounts:
    """What was counted of one method since the server began; whoever carries calls adds to it.

    Attributes:
        started: calls begun.
        replied: calls ended with a message and status OK (``Exchange.reply``), which needs no look at a code.
        ended: calls that ended otherwise, by code.
        received: messages of clients.
        sent: messages to them, without those of ``replied``.
        received_bytes, sent_bytes: of all messages.
    """

    __slots__ = ("ended", "received", "received_bytes", "replied", "sent", "sent_bytes", "started")

    def __init__(self) -> None:
        self.started = self.replied = 0
        self.ended: dict[Code, int] = {}
        self.received = self.sent = 0
        self.received_bytes = self.sent_bytes = 0

    def end(self, code: Code) -> None:
        """A call ended, and not by ``replied``."""
        self.ended[code] = self.ended.get(code, 0) + 1


class GrpcCounts:
    """The counts of all methods, and their way into the metrics.

    Args:
        methods: what is served.

    Attributes:
        by_path: those of the method at ``/package.Service/Method``.
    """

    def __init__(self, methods: Methods) -> None:
        self._series = {method.path: _Series(method) for method in methods.values()}
        self.by_path = {path: series.counts for path, series in self._series.items()}
        self._received_bytes = Growth(_received_bytes)
        self._sent_bytes = Growth(_sent_bytes)

    def flush(self) -> None:
        """Brings the metrics up to date; to be called about once a second."""
        for series in self._series.values():
            series.flush()
        self._received_bytes.reach(sum(counts.received_bytes for counts in self.by_path.values()))
        self._sent_bytes.reach(sum(counts.sent_bytes for counts in self.by_path.values()))


class _Series:
    """The metrics of one method."""

    def __init__(self, method: Method) -> None:
        self.counts = MethodCounts()
        service, name = method.path.removeprefix("/").split("/")
        self._labels = (_type_of(method), service, name)
        self._handled: dict[Code, Growth] = {}
        self._growths: tuple[Growth, Growth, Growth] | None = None
        if service.startswith(_AT_ZERO):
            self._begin()

    def _begin(self) -> tuple[Growth, Growth, Growth]:
        started, received, sent = [Growth(each.labels(*self._labels)) for each in (_started, _received, _sent)]
        self._growths = started, received, sent
        self._handled[Code.OK] = Growth(_handled.labels(*self._labels, code_name(Code.OK)))
        return self._growths

    def flush(self) -> None:
        counts = self.counts
        if not counts.started:
            return
        started, received, sent = self._growths or self._begin()
        started.reach(counts.started)
        received.reach(counts.received)
        sent.reach(counts.sent + counts.replied)
        for code in {Code.OK, *counts.ended}:
            total = counts.ended.get(code, 0) + (counts.replied if code is Code.OK else 0)
            growth = self._handled.get(code)
            if growth is None:
                growth = self._handled[code] = Growth(_handled.labels(*self._labels, code_name(code)))
            growth.reach(total)


def _type_of(method: Method) -> str:
    if method.takes_stream:
        return "bidi_stream" if method.returns_stream else "client_stream"
    return "server_stream" if method.returns_stream else "unary"


def code_name(code: Code) -> str:
    """A status code as Go spells it: ``FailedPrecondition``, and ``OK``."""
    return "OK" if code is Code.OK else "".join(word.capitalize() for word in Code(code).name.split("_"))
