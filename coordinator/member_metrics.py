"""A member's metrics under etcd's names, so that its dashboards and alerts work: brought up to date once a second."""

from __future__ import annotations

import platform
from collections import deque
from typing import Final

from oarlock.coordinator.peers import Peers
from oarlock.coordinator.raft import Raft
from oarlock.coordinator.round_trips import RoundTrips
from oarlock.coordinator.standing import Standing
from oarlock.wire import metrics
from oarlock.wire.metrics import Growth
from oarlock.wire.process_metrics import ProcessMetrics
from oarlock.wire.version import ETCD_VERSION

MAX_SYNCS: Final = 100_000
"""Measured and not yet counted: more than a disk does in a second; of more, the latest count."""

_SECONDS: Final = metrics.doubling(0.001, 14)
_member_gauge = {"combine": "livemax"}

_has_leader = metrics.gauge("etcd_server_has_leader", "Whether a leader is known.", **_member_gauge)
_is_leader = metrics.gauge("etcd_server_is_leader", "Whether this member leads.", **_member_gauge)
_is_learner = metrics.gauge("etcd_server_is_learner", "Whether this member is a learner.", **_member_gauge)
_leader_changes = metrics.counter("etcd_server_leader_changes_seen_total", "Leaders seen.")
_committed = metrics.gauge("etcd_server_proposals_committed_total", "Log entries committed.", **_member_gauge)
_pending = metrics.gauge("etcd_server_proposals_pending", "Log entries not committed yet.", **_member_gauge)
_failed = metrics.counter("etcd_server_proposals_failed_total", "Proposals refused: no leader, or overload.")
_reads_failed = metrics.counter("etcd_server_read_indexes_failed_total", "Read-index questions that failed.")
_id = metrics.gauge("etcd_server_id", "This member.", ["server_id"], **_member_gauge)
_version = metrics.gauge("etcd_server_version", "The version.", ["server_version"], **_member_gauge)
_go_version = metrics.gauge("etcd_server_go_version", "What runs it.", ["server_go_version"], **_member_gauge)
_cluster_version = metrics.gauge("etcd_cluster_version", "The cluster's.", ["cluster_version"], **_member_gauge)
_syncs = metrics.histogram("etcd_disk_wal_fsync_duration_seconds", "Seconds a sync of the log took.", buckets=_SECONDS)
_peer_sent = metrics.counter("etcd_network_peer_sent_bytes_total", "Bytes sent to a member.", ["To"])
_peer_received = metrics.counter("etcd_network_peer_received_bytes_total", "Bytes from a member.", ["From"])
_peer_unsent = metrics.counter("etcd_network_peer_sent_failures_total", "Frames that were not sent.", ["To"])
_active = metrics.gauge("etcd_network_active_peers", "Links that stand.", ["Local", "Remote"], **_member_gauge)
_known = metrics.gauge("etcd_network_known_peers", "Members known.", ["Local", "Remote"], **_member_gauge)
_breaks = metrics.counter("etcd_network_disconnected_peers_total", "Links that broke.", ["Local", "Remote"])


class MemberMetrics:
    """Knows where the numbers are, and when they are due.

    Args:
        raft: the core.
        standing: this member's.
        peers: the links.
        round_trips: asked to measure.
    """

    def __init__(self, raft: Raft, standing: Standing, peers: Peers, round_trips: RoundTrips) -> None:
        self._raft = raft
        self._standing = standing
        self._peers = peers
        self._round_trips = round_trips
        self._process = ProcessMetrics()
        self._synced: deque[float] = deque(maxlen=MAX_SYNCS)  # filled by the log's thread, emptied here
        self._growths: dict[tuple[str, int], Growth] = {}
        self._local = f"{standing.member_id:x}"
        _id.labels(self._local).set(1)
        _version.labels(ETCD_VERSION).set(1)
        _go_version.labels(f"none (Python {platform.python_version()})").set(1)
        _cluster_version.labels(ETCD_VERSION.rpartition(".")[0]).set(1)

    def synced(self, took_s: float) -> None:
        """The log was synced, in so many seconds; from any thread."""
        self._synced.append(took_s)

    def leader_changed(self) -> None:
        """Another leader, or none any more: etcd counts leaders only."""
        if self._standing.leader:
            _leader_changes.inc()

    def proposals_refused(self) -> None:
        """Proposals could not be taken."""
        _failed.inc()

    def read_failed(self) -> None:
        """A read-index question will not be answered."""
        _reads_failed.inc()

    def every_second(self) -> None:
        """Brings everything up to date."""
        metrics.observe_all(_syncs, [self._synced.popleft() for _ in range(len(self._synced))])
        status = self._raft.status
        _has_leader.set(self._standing.leader != 0)
        _is_leader.set(self._standing.leading)
        _is_learner.set(self._standing.member_id in status.membership.learners)
        _committed.set(status.commit)
        _pending.set(max(0, status.last_index - status.commit))
        self._process.look()
        if self._peers.followed or self._growths:
            self._round_trips.ask()
            self._look_at_links()

    def _look_at_links(self) -> None:
        traffic = self._peers.traffic()
        for member, passed in traffic.items():
            remote = f"{member:x}"
            _known.labels(self._local, remote).set(1)
            _active.labels(self._local, remote).set(self._peers.is_connected(member))
            self._growth("sent", member).reach(passed.sent_bytes)
            self._growth("received", member).reach(passed.received_bytes)
            self._growth("unsent", member).reach(passed.unsent_frames)
            self._growth("breaks", member).reach(passed.breaks)
        for member in {member for _, member in self._growths} - traffic.keys():  # removed from the cluster
            _known.labels(self._local, f"{member:x}").set(0)
            _active.labels(self._local, f"{member:x}").set(0)

    def _growth(self, what: str, member: int) -> Growth:
        growth = self._growths.get((what, member))
        if growth is None:
            labels = (self._local, f"{member:x}") if what == "breaks" else (f"{member:x}",)
            growth = self._growths[what, member] = Growth(_LINK_COUNTERS[what].labels(*labels))
        return growth


_LINK_COUNTERS: Final = {"sent": _peer_sent, "received": _peer_received, "unsent": _peer_unsent, "breaks": _breaks}
