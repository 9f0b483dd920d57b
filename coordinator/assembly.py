"""Puts the parts of a coordinator together."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import zmq

from oarlock.coordinator.commit_marks import CommitMarks
from oarlock.coordinator.coordinator import Coordinator
from oarlock.coordinator.following import Following, members_of
from oarlock.coordinator.forwarding import Forwarding
from oarlock.coordinator.hash_exchange import HashExchange
from oarlock.coordinator.identity import LocalIdentity, advertised_urls
from oarlock.coordinator.leaving import Leaving
from oarlock.coordinator.log_writer import LogWriter, write_to
from oarlock.coordinator.member_metrics import MemberMetrics
from oarlock.coordinator.member_requests import MemberRequests
from oarlock.coordinator.peer_faults import PeerFaults
from oarlock.coordinator.peer_requests import PeerRequests
from oarlock.coordinator.peers import Peers
from oarlock.coordinator.publishing import Publishing
from oarlock.coordinator.raft import Raft
from oarlock.coordinator.raft.messages import InstallSnapshot
from oarlock.coordinator.restoring import TICKS_A_HEARTBEAT, Core, restore, snapshot_meta
from oarlock.coordinator.round_trips import RoundTrips
from oarlock.coordinator.snapshot_exchange import SnapshotExchange
from oarlock.coordinator.snapshotting import Snapshotting
from oarlock.coordinator.standing import Answers
from oarlock.coordinator.waiting import Waiting
from oarlock.coordinator.worker_port import WorkerPort
from oarlock.coordinator.worker_requests import WorkerRequests
from oarlock.storage import snapshots
from oarlock.storage.log import Log
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire import process
from oarlock.wire.commit_word import ASK, CommitWord
from oarlock.wire.identifiers import new_id
from oarlock.wire.members import Attributes, initial_to_value


class Assembly(NamedTuple):
    """A coordinator and what it owns."""

    coordinator: Coordinator
    waiting: Waiting
    writer: LogWriter
    port: WorkerPort
    peers: Peers
    exchange: SnapshotExchange
    commit_word: CommitWord

    def close(self, timeout_s: float) -> None:
        """Writes what was handed to the writer, for at most ``timeout_s``, and ends threads and sockets."""
        self.commit_word.publish(ASK)
        self.exchange.close()
        self.waiting.close()
        self.writer.close(timeout_s)
        self.peers.close()
        self.port.close()


class _Doors(NamedTuple):
    """What is connected: sockets and the log's thread."""

    waiting: Waiting
    peers: Peers
    port: WorkerPort
    writer: LogWriter
    answers: Answers
    round_trips: RoundTrips
    metrics: MemberMetrics
    publishing: Publishing


class _Services(NamedTuple):
    """What workers and members ask for."""

    snapshotting: Snapshotting
    forwarding: Forwarding
    members: MemberRequests
    workers: WorkerRequests
    hashes: HashExchange


def assemble(
    settings: Mapping[str, Any],
    identity: LocalIdentity,
    entry_log: Log,
    newest: SnapshotMetadata | None,
    context: zmq.Context[zmq.Socket[bytes]],
    commit_word: CommitWord,
) -> Assembly:
    """Makes a coordinator that is ready to run.

    Args:
        settings: of the server.
        identity: this member's.
        entry_log: the open log.
        newest: what the newest usable snapshot is of, None where there is none.
        context: for its sockets; the caller ends it after ``Assembly.close``.
        commit_word: shared with the workers.

    Raises:
        OarlockError: an address cannot be bound, or log and snapshot do not fit together.
    """
    incarnation = new_id()
    core = restore(settings, identity, entry_log, newest)
    doors = _doors(settings, identity, entry_log, context, incarnation, core)
    services = _services(settings, identity, entry_log, newest, core, doors, incarnation)
    following = _following(settings, identity, core, doors, services)
    exchange = _exchange(identity, core, doors, services)
    coordinator = _coordinator(settings, identity, entry_log, core, doors, services, following, exchange, commit_word)
    changes = [entry_log.entries(index, index + 1, 1)[0] for index in core.raft.membership_changes]
    following.membership_changed(core.raft.membership, changes)
    if core.raft.membership.voters == (identity.member_id,):
        core.raft.campaign()  # nobody else could: no reason to wait for an election time-out
    return Assembly(coordinator, doors.waiting, doors.writer, doors.port, doors.peers, exchange, commit_word)


def _doors(
    settings: Mapping[str, Any],
    identity: LocalIdentity,
    entry_log: Log,
    context: zmq.Context[zmq.Socket[bytes]],
    incarnation: int,
    core: Core,
) -> _Doors:
    poller = zmq.Poller()
    ids = (identity.cluster_id, identity.member_id)
    peers = Peers(context, poller, settings["listen_peer_urls"], ids, PeerFaults.from_environment())
    port = WorkerPort(Path(settings["data_dir"]), incarnation)
    publishing = Publishing(port, core.standing)
    round_trips = RoundTrips(peers)
    member_metrics = MemberMetrics(core.raft, core.standing, peers, round_trips)
    writer = LogWriter(write_to(entry_log, member_metrics.synced))
    waiting = Waiting(poller, (port.requests, writer.fileno()), peers.inbox)
    return _Doors(waiting, peers, port, writer, Answers(port, peers), round_trips, member_metrics, publishing)


def _services(
    settings: Mapping[str, Any],
    identity: LocalIdentity,
    entry_log: Log,
    newest: SnapshotMetadata | None,
    core: Core,
    doors: _Doors,
    incarnation: int,
) -> _Services:
    directory = Path(settings["data_dir"]) / "snapshots"
    snapshotting = Snapshotting(
        directory,
        settings["snapshot_count"],
        settings["snapshot_catchup_entries"],
        0 if newest is None else newest.index,
    )
    forwarding = Forwarding()
    members = MemberRequests(
        core.raft,
        core.members,
        identity.initial,
        core.standing,
        doors.answers,
        strict=settings["strict_reconfig_check"],
        transfer_timeout_s=settings["election_timeout_ms"] / 1000,
    )
    workers = WorkerRequests(
        core.raft,
        entry_log,
        core.storage,
        doors.writer,
        core.leases,
        snapshotting,
        members,
        forwarding,
        core.standing,
        doors.answers,
        incarnation=incarnation,
        initial=initial_to_value(identity.initial),
    )
    hashes = HashExchange(core.raft, doors.peers, members, core.standing, workers.stop_serving)
    workers.report_hash = hashes.report
    workers.on_proposed = doors.publishing.proposed
    workers.on_refused, workers.on_read_failed = doors.metrics.proposals_refused, doors.metrics.read_failed
    return _Services(snapshotting, forwarding, members, workers, hashes)


def _following(
    settings: Mapping[str, Any], identity: LocalIdentity, core: Core, doors: _Doors, services: _Services
) -> Following:
    own = Attributes(
        settings["name"],
        advertised_urls(settings),
        tuple(settings["advertise_native_urls"] or settings["listen_native_urls"]),
        tuple(settings["advertise_client_urls"] or settings["listen_client_urls"]),
    )
    return Following(
        core.members,
        services.members,
        doors.peers,
        identity.member_id,
        own,
        identity.initial,
        functools.partial(_read_snapshot, services.snapshotting.directory),
    )


def _exchange(identity: LocalIdentity, core: Core, doors: _Doors, services: _Services) -> SnapshotExchange:
    return SnapshotExchange(
        services.snapshotting.directory,
        doors.peers,
        identity.cluster_id,
        core.raft.report_snapshot,
        functools.partial(_install, core.raft, services.snapshotting, identity),
    )


def _coordinator(
    settings: Mapping[str, Any],
    identity: LocalIdentity,
    entry_log: Log,
    core: Core,
    doors: _Doors,
    services: _Services,
    following: Following,
    exchange: SnapshotExchange,
    commit_word: CommitWord,
) -> Coordinator:
    requests = PeerRequests(
        core.raft,
        doors.peers,
        services.workers,
        services.forwarding,
        lambda: services.members.members,
        identity,
        core.standing,
        doors.answers,
        {**exchange.handlers, **services.hashes.handlers, **doors.round_trips.handlers},
    )
    return Coordinator(
        core.raft,
        entry_log,
        core.storage,
        doors.writer,
        doors.waiting,
        doors.port,
        doors.peers,
        core.leases,
        following,
        services.snapshotting,
        exchange,
        services.workers,
        services.members,
        requests,
        services.forwarding,
        doors.answers,
        core.standing,
        Leaving(),
        doors.metrics,
        doors.publishing,
        CommitMarks(commit_word, core.raft),
        tick_s=settings["heartbeat_interval_ms"] / 1000 / TICKS_A_HEARTBEAT,
        election_s=settings["election_timeout_ms"] / 1000,
        on_state=_tell_supervisor,
    )


def _tell_supervisor(has_leader: bool, is_corrupt: bool) -> None:
    process.notify_alive(leader=has_leader, alarms=["CORRUPT"] if is_corrupt else [])


def _read_snapshot(directory: Path, index: int) -> SnapshotMetadata:
    path = next(each.path for each in snapshots.list_snapshots(directory) if each.last_index == index)
    return snapshots.read_metadata(path)


def _install(
    raft: Raft,
    snapshotting: Snapshotting,
    identity: LocalIdentity,
    sender: int,
    raft_term: int,
    metadata: SnapshotMetadata,
) -> None:
    """A snapshot has arrived and is good: the core decides whether it takes the place of the log."""
    snapshotting.received(metadata.index)
    meta = snapshot_meta(metadata, members_of(metadata, identity.initial))
    raft.step(InstallSnapshot(sender, identity.member_id, raft_term, meta))
