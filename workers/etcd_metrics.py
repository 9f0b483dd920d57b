"""A worker's metrics under etcd's names, so that its dashboards and alerts work: brought up to date once a second.

What is the same in all workers of a member, such as its size, is their greatest value; what all of them count alike,
such as writes, is counted by worker 0 alone.
"""

from __future__ import annotations

from typing import Final

from oarlock.wire import metrics
from oarlock.wire.metrics import Growth
from oarlock.wire.process_metrics import ProcessMetrics
from oarlock.workers.grpc_counts import GrpcCounts
from oarlock.workers.operation_counts import OPERATIONS, OperationCounts
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.watch.hub import WatchHub

_member_gauge = {"combine": "livemax"}

_applied = metrics.gauge("etcd_server_proposals_applied_total", "Log entries applied.", **_member_gauge)
_quota = metrics.gauge("etcd_server_quota_backend_bytes", "Size above which writes are refused.", **_member_gauge)
_size = metrics.gauge("etcd_mvcc_db_total_size_in_bytes", "Size of the replica's file.", **_member_gauge)
_in_use = metrics.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Of it, in use.", **_member_gauge)
_keys = metrics.gauge("etcd_debugging_mvcc_keys_total", "Keys.", **_member_gauge)
_revision = metrics.gauge("etcd_debugging_mvcc_current_revision", "Revision of the store.", **_member_gauge)
_compacted = metrics.gauge("etcd_debugging_mvcc_compact_revision", "Revision of the last compaction.", **_member_gauge)
_watchers = metrics.gauge("etcd_debugging_mvcc_watcher_total", "Watchers.")
_commits = metrics.histogram(
    "etcd_disk_backend_commit_duration_seconds",
    "Seconds that commits of the replica took.",
    buckets=metrics.doubling(0.001, 14),
)
_ranges = metrics.counter("etcd_mvcc_range_total", "Ranges answered.")
_puts = metrics.counter("etcd_mvcc_put_total", "Puts applied.")
_deletes = metrics.counter("etcd_mvcc_delete_total", "Deletes applied.")
_txns = metrics.counter("etcd_mvcc_txn_total", "Transactions of more than one operation.")
_put_bytes = metrics.gauge("etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes put since the start.", **_member_gauge)

FIRST_WORKER: Final = 0


class EtcdMetrics:
    """Knows where the numbers are.

    Args:
        number: of this worker.
        keeper: owns the replica.
        hub: knows the watchers.
        quota_bytes: of the store.
        operations: of this process.

    Attributes:
        grpc: the calls of etcd's clients, where they are served.
    """

    def __init__(
        self,
        number: int,
        keeper: ReplicaKeeper,
        hub: WatchHub,
        quota_bytes: int,
        operations: OperationCounts = OPERATIONS,
    ) -> None:
        self._keeper = keeper
        self._hub = hub
        self._operations = operations
        self._counts_writes = number == FIRST_WORKER
        self._process = ProcessMetrics()
        self._growths = Growth(_ranges), Growth(_puts), Growth(_deletes), Growth(_txns)
        self.grpc: GrpcCounts | None = None
        _quota.set(quota_bytes)

    def every_second(self) -> None:
        """Brings everything up to date."""
        replica = self._keeper.replica
        meta = replica.meta
        _applied.set(meta.applied_index)
        _revision.set(meta.revision)
        _compacted.set(max(meta.compact_revision, 0))
        _size.set(replica.size_bytes())
        _in_use.set(replica.in_use_bytes())
        with replica.read() as view:
            _keys.set(view.count(b"", None))
        _watchers.set(self._hub.watcher_count)
        commits = replica.commits_s
        metrics.observe_all(_commits, [commits.popleft() for _ in range(len(commits))])
        self._count_operations()
        self._process.look()
        if self.grpc is not None:
            self.grpc.flush()

    def _count_operations(self) -> None:
        done = self._operations
        ranges, puts, deletes, txns = self._growths
        ranges.reach(done.ranges)
        txns.reach(done.read_txns + (done.written_txns if self._counts_writes else 0))
        _put_bytes.set(done.put_bytes)
        if self._counts_writes:
            puts.reach(done.puts)
            deletes.reach(done.deletes)
