"""What etcd's dashboards show of a member."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from oarlock.coordinator.member_metrics import MemberMetrics
from oarlock.coordinator.peer_codec import PeerKind
from oarlock.coordinator.peers import Peers, Traffic
from oarlock.coordinator.raft import Raft
from oarlock.coordinator.round_trips import RoundTrips
from oarlock.coordinator.standing import Standing
from oarlock.wire.metrics import REGISTRY
from tests.raft.one import lead, member

numbers = itertools.count(0x1000)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@dataclass
class Links:
    """Links to one other member, without sockets."""

    other: int
    passed: Traffic = field(default_factory=Traffic)
    sent: list[tuple[int, PeerKind, Any]] = field(default_factory=list)

    @property
    def followed(self) -> tuple[int, ...]:
        return (self.other,) if self.other else ()

    def traffic(self) -> dict[int, Traffic]:
        return {self.other: self.passed} if self.other else {}

    def is_connected(self, member: int) -> bool:
        return True

    def send(self, member: int, kind: PeerKind, payload: Any) -> bool:
        self.sent.append((member, kind, payload))
        return True


def metrics_of(
    raft: Raft, links: Links, clock_s: Callable[[], float] = lambda: 0.0
) -> tuple[MemberMetrics, RoundTrips]:
    standing = Standing(9, 1, 1, leader=1, leading=True, commit_index=0)
    round_trips = RoundTrips(cast(Peers, links), clock_s)
    return MemberMetrics(raft, standing, cast(Peers, links), round_trips), round_trips


def test_a_member_that_leads_alone() -> None:
    raft = lead(member(1)).raft
    made, _ = metrics_of(raft, Links(0))
    before, syncs = value("etcd_server_leader_changes_seen_total"), "etcd_disk_wal_fsync_duration_seconds"
    counted = value(f"{syncs}_count"), value(f"{syncs}_sum"), value(f"{syncs}_bucket", le="0.004")
    made.leader_changed()
    made.synced(0.003)
    made.synced(0.005)
    made.every_second()
    assert value("etcd_server_has_leader") == value("etcd_server_is_leader") == 1
    assert value("etcd_server_id", server_id="1") == 1
    assert value("etcd_server_leader_changes_seen_total") == before + 1
    assert value("etcd_server_proposals_committed_total") == raft.status.commit
    assert value(f"{syncs}_count") == counted[0] + 2
    assert round(value(f"{syncs}_sum") - counted[1], 6) == 0.008
    assert value(f"{syncs}_bucket", le="0.004") == counted[2] + 1


def test_what_passes_between_members_is_counted_once() -> None:
    other = next(numbers)
    links = Links(other)
    made, _ = metrics_of(lead(member(1)).raft, links)
    for _ in range(2):
        links.passed.sent_bytes += 10
        links.passed.received_bytes += 7
        made.every_second()
    made.every_second()
    remote = f"{other:x}"
    assert value("etcd_network_peer_sent_bytes_total", To=remote) == 20
    assert value("etcd_network_peer_received_bytes_total", From=remote) == 14
    assert value("etcd_network_active_peers", Local="1", Remote=remote) == 1


def test_a_link_that_is_made_anew_goes_on_and_one_that_is_gone_is_told() -> None:
    other = next(numbers)
    links = Links(other, Traffic(unsent_frames=5))
    made, _ = metrics_of(lead(member(1)).raft, links)
    made.every_second()
    links.passed = Traffic(unsent_frames=2)
    made.every_second()
    assert value("etcd_network_peer_sent_failures_total", To=f"{other:x}") == 7
    links.other = 0
    made.every_second()
    assert REGISTRY.get_sample_value("etcd_network_known_peers", {"Local": "1", "Remote": f"{other:x}"}) == 0


def test_the_way_to_a_member_and_back_is_measured_and_a_late_answer_is_not() -> None:
    now = [0.0]
    other = next(numbers)
    links = Links(other)
    _, round_trips = metrics_of(lead(member(1)).raft, links, lambda: now[0])
    name = "etcd_network_peer_round_trip_time_seconds"
    round_trips.ask()
    (to, kind, first) = links.sent.pop()
    assert (to, kind) == (other, PeerKind.PING)
    round_trips.handlers[PeerKind.PING](other, [7], 0.0)
    assert links.sent.pop() == (other, PeerKind.PONG, [7])
    now[0] = 0.25
    round_trips.handlers[PeerKind.PONG](other, first, 0.25)
    round_trips.handlers[PeerKind.PONG](other, first, 0.25)
    round_trips.ask()
    round_trips.handlers[PeerKind.PONG](other, first, 0.25)
    assert value(f"{name}_count", To=f"{other:x}") == 1
    assert value(f"{name}_sum", To=f"{other:x}") == 0.25
