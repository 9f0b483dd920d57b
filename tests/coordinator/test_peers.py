"""Links over real sockets: what is for us arrives, what is not is refused, and a link that breaks is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from oarlock.coordinator.peer_codec import PeerKind, Refusal
from oarlock.coordinator.peer_faults import PeerFaults
from oarlock.coordinator.peers import Lane, Peers
from oarlock.wire.errors import ConfigurationError
from tests.server import ReservedPort, wait_until

TIMEOUT_S = 10.0


class Net:
    """Makes ends, and ends them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(self._context.term)
        self.urls: dict[int, str] = {}

    def end(self, member: int, cluster: int = 9, faults: Path | None = None) -> tuple[Peers, zmq.Poller]:
        port = ReservedPort()
        self._stack.callback(port.release)
        poller = zmq.Poller()
        self.urls[member] = f"tcp://127.0.0.1:{port.number}"
        peers = Peers(self._context, poller, [self.urls[member]], (cluster, member), PeerFaults(faults))
        self._stack.callback(peers.close)
        return peers, poller

    def connect(self, peers: Peers, poller: zmq.Poller, member: int) -> None:
        peers.follow({member: [self.urls[member]]})

        def connected() -> bool:
            peers.broken(dict(poller.poll(10)))
            return peers.is_connected(member) and all(peers.send(member, PeerKind.CORRUPT, [0], lane) for lane in Lane)

        wait_until(connected, TIMEOUT_S, "the link")


@pytest.fixture
def net() -> Iterator[Net]:
    with ExitStack() as stack:
        yield Net(stack)


def received(peers: Peers, enough: Callable[[list[object]], bool]) -> list[object]:
    """The payloads that arrive, until there are enough."""
    found: list[object] = []

    def look() -> bool:
        found.extend(each.frame.payload for each in peers.receive())
        return enough(found)

    wait_until(look, TIMEOUT_S, "the frames")
    return found


def test_frames_of_every_lane_arrive(net: Net) -> None:
    (one, poller), (two, _) = net.end(1), net.end(2)
    net.connect(one, poller, 2)
    for lane in Lane:
        assert one.send(2, PeerKind.STATE_HASH, [int(lane), b"h"], lane)
    wanted = [[int(lane), b"h"] for lane in Lane]
    received(two, lambda found: all(each in found for each in wanted))


def test_a_member_that_is_not_followed_gets_nothing(net: Net) -> None:
    one, _ = net.end(1)
    assert not one.send(2, PeerKind.CORRUPT, [1])


@pytest.mark.parametrize(("cluster", "reason"), [(9, Refusal.OTHER_MEMBER), (8, Refusal.OTHER_CLUSTER)])
def test_frames_that_are_for_others_are_refused(net: Net, cluster: int, reason: Refusal) -> None:
    (one, poller), (stranger, _) = net.end(1), net.end(3, cluster)
    net.urls[2] = net.urls[3]
    net.connect(one, poller, 2)
    refused: list[int] = []

    def look() -> bool:
        assert list(stranger.receive()) == []
        refused.extend(frame.payload[0] for _, frame in one.refusals())
        return bool(refused)

    wait_until(look, TIMEOUT_S, "a refusal")
    assert set(refused) == {reason}


def test_a_link_that_breaks_is_noticed_once(net: Net) -> None:
    (one, poller), (two, _) = net.end(1), net.end(2)
    net.connect(one, poller, 2)
    two.inbox.close(0)
    lost: list[int] = []

    def look() -> bool:
        lost.extend(one.broken(dict(poller.poll(10))))
        return bool(lost)

    wait_until(look, TIMEOUT_S, "the broken link")
    assert lost == [2]
    assert not one.is_connected(2)


def test_bytes_that_are_no_frame_are_passed_over(net: Net) -> None:
    one, poller = net.end(1)
    two, _ = net.end(2)
    net.connect(one, poller, 2)
    with zmq.Context() as context, context.socket(zmq.DEALER) as hostile:
        hostile.linger = 0
        hostile.connect(net.urls[2])
        hostile.send(b"\xc1 nonsense")
        hostile.send_multipart([b"a", b"b", b"c"])
        assert one.send(2, PeerKind.STATE_HASH, [1, b"h"])
        received(two, lambda found: [1, b"h"] in found)


def test_two_members_cannot_share_a_port(net: Net) -> None:
    net.end(1)
    with pytest.raises(ConfigurationError, match="listens there already"):
        Peers(net._context, zmq.Poller(), [net.urls[1]], (9, 2), PeerFaults(None))


def test_faults_drop_and_delay_frames(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    (one, poller), (two, _) = net.end(1, faults=path), net.end(2)
    net.connect(one, poller, 2)
    path.write_text(json.dumps({"drop_to": [net.urls[2]]}))
    one.tick(0.0)
    assert one.send(2, PeerKind.STATE_HASH, [1, b"dropped"])
    path.unlink()
    one.tick(0.0)
    assert one.send(2, PeerKind.STATE_HASH, [2, b"arrives"])
    found = received(two, lambda found: [2, b"arrives"] in found)
    assert [1, b"dropped"] not in found
