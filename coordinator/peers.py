"""The links to the other members: sockets in, sockets out, nothing decided here.

A member binds one ROUTER. To every other member it connects three DEALERs, one a *lane*, each a TCP connection of its
own, so that what is long never stands in front of what is urgent:

- FAST: heartbeats, votes, acknowledgements, read-index questions, leases: everything small.
- BULK: appends and forwarded proposals. All appends, the empty ones too: an append that overtook the one before it
  would be refused, and its leader would start to probe.
- SNAPSHOT: chunks of snapshots.

A frame that a queue has no room for, or whose member is not connected, is dropped and counted: Raft is built for that,
and so is everything else that is sent here. A queue never holds frames for a member that is not there
(ZMQ_IMMEDIATE): what it would find at its return is old.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Final, NamedTuple

import zmq

from oarlock.coordinator import peer_codec
from oarlock.coordinator.peer_codec import PeerFrame, PeerKind, Refusal
from oarlock.coordinator.peer_faults import PeerFaults
from oarlock.wire import metrics
from oarlock.wire.errors import ConfigurationError, ProtocolError
from oarlock.wire.frames import MAX_FRAME_BYTES
from oarlock.wire.logs import get_logger
from oarlock.wire.sockets import bind_shared, is_readable, monitored_event
from oarlock.wire.taken_ports import refuse_if_taken

log = get_logger(__name__)


class Lane(IntEnum):
    """Which of the connections to a member."""

    FAST = 0
    BULK = 1
    SNAPSHOT = 2


QUEUE_FRAMES: Final = {Lane.FAST: 1024, Lane.BULK: 512, Lane.SNAPSHOT: 16}
"""Frames that wait for the network, a lane. BULK: twice the appends that Raft has in flight; their bytes are bounded
by Raft as well. SNAPSHOT: several times the chunks in flight."""
MAX_FRAMES_A_TURN: Final = 256
"""A turn of the loop takes at most so many, so that workers and the clock get their turn."""
RECONNECT_MS: Final = (50, 500)
"""First and longest pause between two tries to connect: a member that comes back is met within half a second."""
HEARTBEAT_MS: Final = (1000, 3000)
"""ZMTP heartbeats: how often, and after what silence a connection is given up: for machines that vanish."""
LINGER_MS: Final = 500
"""What was sent to a member just before it was let go may still leave: the news of its removal."""

_sent = metrics.counter("oarlock_peer_frames_sent_total", "Frames sent to other members.")
_dropped = metrics.counter("oarlock_peer_frames_dropped_total", "Frames to other members dropped: no room, or no link.")
_received = metrics.counter("oarlock_peer_frames_received_total", "Frames received from other members.")
_refused = metrics.counter(
    "oarlock_peer_frames_refused_total", "Frames that were malformed, of another cluster or for another member."
)


class Received(NamedTuple):
    """A frame, and the connection that it came by, for ``Peers.reply``."""

    frame: PeerFrame
    connection: bytes


@dataclass(slots=True)
class Traffic:
    """What has passed between this member and another: plain numbers, since adding one costs next to nothing."""

    sent_bytes: int = 0
    received_bytes: int = 0
    unsent_frames: int = 0
    breaks: int = 0


class _Link:
    """The connections to one member, and the monitor that tells when they break."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], url: str) -> None:
        self.url = url
        self.traffic = Traffic()
        self.connected = False
        self.lanes = [_connect(context, url, lane) for lane in Lane]
        self.fast = self.lanes[Lane.FAST]
        self.monitor = self.fast.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        for lane in self.lanes:
            lane.connect(url)

    def close(self) -> None:
        self.fast.disable_monitor()
        self.monitor.close(0)
        for lane in self.lanes:
            lane.close(LINGER_MS)


def _connect(context: zmq.Context[zmq.Socket[bytes]], url: str, lane: Lane) -> zmq.Socket[bytes]:
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.IMMEDIATE, 1)
    dealer.setsockopt(zmq.SNDHWM, QUEUE_FRAMES[lane])
    dealer.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    dealer.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS[0])
    dealer.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MS[1])
    dealer.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS[0])
    dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_MS[1])
    dealer.setsockopt(zmq.LINGER, LINGER_MS)
    return dealer


class Peers:
    """The sockets of one member.

    Invariant: there is a link to exactly the members of the last ``follow``, without this one.

    Args:
        context: the ZeroMQ context; the caller ends it.
        poller: of the loop; told of every socket that may have something to read.
        listen_urls: ``tcp://host:port`` each, to bind.
        identity: (cluster id, member id).
        faults: for tests.

    Raises:
        ConfigurationError: an address cannot be bound.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        poller: zmq.Poller,
        listen_urls: Sequence[str],
        identity: tuple[int, int],
        faults: PeerFaults,
    ) -> None:
        self._context = context
        self._poller = poller
        self._cluster_id, self._member_id = identity
        self._faults = faults
        self._links: dict[int, _Link] = {}
        self._monitors: dict[Any, int] = {}
        self.inbox = _bind(context, listen_urls)
        poller.register(self.inbox, zmq.POLLIN)

    def follow(self, urls: Mapping[int, Sequence[str]]) -> None:
        """Connects to these members, and to no others.

        Args:
            urls: the peer URLs of each; one without any is not connected. Of several the first is used.
        """
        wanted = {member: each[0] for member, each in urls.items() if each and member != self._member_id}
        for member, link in list(self._links.items()):
            if wanted.get(member) != link.url:
                del self._links[member]
                del self._monitors[link.monitor]
                self._poller.unregister(link.monitor)
                link.close()
        for member in wanted.keys() - self._links.keys():
            link = self._links[member] = _Link(self._context, wanted[member])
            self._monitors[link.monitor] = member
            self._poller.register(link.monitor, zmq.POLLIN)

    @property
    def followed(self) -> tuple[int, ...]:
        """The members to which there are links."""
        return tuple(self._links)

    def is_connected(self, member: int) -> bool:
        """Whether the link to a member stands, as far as TCP knows."""
        link = self._links.get(member)
        return link is not None and link.connected

    def traffic(self) -> dict[int, Traffic]:
        """What has passed on the links, by member; a link that is made anew begins with zeros."""
        return {member: link.traffic for member, link in self._links.items()}

    def send(self, member: int, kind: PeerKind, payload: Any, lane: Lane = Lane.FAST) -> bool:
        """Sends a frame, or drops it; returns whether it left."""
        link = self._links.get(member)
        if link is None:
            return False
        data = peer_codec.encode(self._cluster_id, self._member_id, member, kind, payload)
        if self._faults.active:
            if self._faults.drops_to(link.url):
                return True  # lost on the way, which no sender notices
            if self._faults.delays(partial(self._send, link, lane, data), time.monotonic()):
                return True
        return self._send(link, lane, data)

    def _send(self, link: _Link, lane: Lane, data: bytes) -> bool:
        try:
            link.lanes[lane].send(data, zmq.NOBLOCK)
        except zmq.ZMQError:
            _dropped.inc()
            link.traffic.unsent_frames += 1
            return False
        _sent.inc()
        link.traffic.sent_bytes += len(data)
        return True

    def reply(self, connection: bytes, to: int, kind: PeerKind, payload: Any) -> None:
        """Answers by the connection that a frame came by: for those who are no members."""
        data = peer_codec.encode(self._cluster_id, self._member_id, to, kind, payload)
        try:
            self.inbox.send_multipart((connection, data), zmq.NOBLOCK)
        except zmq.ZMQError:
            _dropped.inc()

    def receive(self) -> Iterator[Received]:
        """What has arrived, at most ``MAX_FRAMES_A_TURN``, without waiting. What is not for us is refused and left out;
        questions of a member-to-be (BOOTSTRAP) carry no cluster yet, and come with ``to`` 0."""
        for _ in range(MAX_FRAMES_A_TURN):
            try:
                connection, data = self.inbox.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            except ValueError:
                _refused.inc()
                continue
            frame = self._decode(data)
            if frame is not None and self._is_for_us(frame, connection):
                _received.inc()
                if (link := self._links.get(frame.sender)) is not None:
                    link.traffic.received_bytes += len(data)
                yield Received(frame, connection)

    def _decode(self, data: bytes) -> PeerFrame | None:
        try:
            return peer_codec.decode(data)
        except ProtocolError as problem:
            _refused.inc()
            log.warning("frame is malformed", problem=problem.message)
            return None

    def _is_for_us(self, frame: PeerFrame, connection: bytes) -> bool:
        link = self._links.get(frame.sender)
        if self._faults.active and link is not None and self._faults.drops_from(link.url):
            return False
        if frame.kind == PeerKind.BOOTSTRAP or (frame.cluster_id, frame.to) == (self._cluster_id, self._member_id):
            return True
        _refused.inc()
        if frame.kind != PeerKind.REFUSED:
            reason = Refusal.OTHER_CLUSTER if frame.cluster_id != self._cluster_id else Refusal.OTHER_MEMBER
            text = f"this is member {self._member_id:x} of cluster {self._cluster_id:x}"
            self.reply(connection, frame.sender, PeerKind.REFUSED, [int(reason), text])
        return False

    def refusals(self) -> Iterator[tuple[int, PeerFrame]]:
        """The refusals that came back, as (member at whose URL it was, frame); for every tick, they are rare."""
        for member, link in list(self._links.items()):
            for lane in link.lanes:
                while is_readable(lane):
                    frame = self._decode(lane.recv(zmq.NOBLOCK))
                    if frame is not None and frame.kind == PeerKind.REFUSED:
                        yield member, frame

    def broken(self, readable: Mapping[Any, int]) -> list[int]:
        """Looks at the monitors among the sockets that are readable; returns the members whose link broke."""
        lost = []
        for monitor, member in self._monitors.items():
            if monitor not in readable:
                continue
            link = self._links[member]
            while is_readable(monitor):
                event = monitored_event(monitor.recv_multipart())
                if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    link.connected = True
                elif link.connected:
                    link.connected = False
                    link.traffic.breaks += 1
                    lost.append(member)
        return lost

    def tick(self, now_s: float) -> None:
        """Does what is due now and then: faults of tests."""
        self._faults.look()
        for send in self._faults.due(now_s):
            send()

    def close(self) -> None:
        """Closes every socket; what was sent last may still leave for ``LINGER_MS``."""
        self.follow({})
        self._poller.unregister(self.inbox)
        self.inbox.close(0)


def _bind(context: zmq.Context[zmq.Socket[bytes]], urls: Sequence[str]) -> zmq.Socket[bytes]:
    inbox = context.socket(zmq.ROUTER)
    inbox.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    inbox.setsockopt(zmq.LINGER, 0)
    inbox.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS[0])
    inbox.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_MS[1])
    try:
        for url in urls:
            refuse_if_taken(url)
            bind_shared(inbox, url)
    except ConfigurationError as problem:
        inbox.close(0)
        raise ConfigurationError(f"listen-peer-urls: {problem.message}") from problem
    return inbox
