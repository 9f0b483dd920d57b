"""What etcd's dashboards show of a worker."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from oarlock.gateway.grpc.requests import Method, methods_by_path
from oarlock.storage.replica import Replica
from oarlock.wire.errors import Code
from oarlock.wire.metrics import REGISTRY
from oarlock.workers.etcd_metrics import EtcdMetrics
from oarlock.workers.grpc_counts import GrpcCounts, code_name
from oarlock.workers.operation_counts import OperationCounts
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.watch.hub import WatchHub

UNARY = {"grpc_type": "unary", "grpc_service": "etcdserverpb.KV", "grpc_method": "Fetch"}
STREAM = {"grpc_type": "bidi_stream", "grpc_service": "some.Service", "grpc_method": "Talk"}
METHODS = methods_by_path(
    Method("/etcdserverpb.KV/Fetch"), Method("/some.Service/Talk", takes_stream=True, returns_stream=True)
)


def value(name: str, labels: dict[str, str] | None = None) -> float:
    return REGISTRY.get_sample_value(name, labels or {}) or 0.0


def test_series_of_etcds_services_begin_at_zero_and_others_with_their_first_call() -> None:
    counts = GrpcCounts(METHODS)
    counts.flush()
    assert REGISTRY.get_sample_value("grpc_server_started_total", UNARY) is not None
    assert REGISTRY.get_sample_value("grpc_server_handled_total", {**UNARY, "grpc_code": "OK"}) is not None


def test_calls_are_counted_once_however_often_they_are_looked_at() -> None:
    received = value("etcd_network_client_grpc_received_bytes_total")
    counts = GrpcCounts(METHODS)
    fetch = counts.by_path["/etcdserverpb.KV/Fetch"]
    fetch.started += 3
    fetch.received += 3
    fetch.received_bytes += 30
    fetch.replied += 2
    fetch.end(Code.FAILED_PRECONDITION)
    talk = counts.by_path["/some.Service/Talk"]
    talk.started += 1
    talk.sent += 5
    counts.flush()
    counts.flush()
    assert value("grpc_server_started_total", UNARY) == 3
    assert value("grpc_server_msg_received_total", UNARY) == 3
    assert value("grpc_server_msg_sent_total", UNARY) == 2
    assert value("grpc_server_handled_total", {**UNARY, "grpc_code": "OK"}) == 2
    assert value("grpc_server_handled_total", {**UNARY, "grpc_code": "FailedPrecondition"}) == 1
    assert value("etcd_network_client_grpc_received_bytes_total") == received + 30
    assert value("grpc_server_msg_sent_total", STREAM) == 5
    assert (
        value("grpc_server_started_total", STREAM) - value("grpc_server_handled_total", {**STREAM, "grpc_code": "OK"})
        == 1
    )  # active


def test_codes_are_spelled_as_in_go() -> None:
    assert [code_name(code) for code in (Code.OK, Code.CANCELED, Code.DEADLINE_EXCEEDED, Code.DATA_LOSS)] == [
        "OK",
        "Canceled",
        "DeadlineExceeded",
        "DataLoss",
    ]


class Keeper:
    def __init__(self, replica: Replica) -> None:
        self.replica = replica


def look(number: int, replica: Replica, operations: OperationCounts) -> EtcdMetrics:
    hub = WatchHub(lambda: b"topic")
    made = EtcdMetrics(number, cast(ReplicaKeeper, Keeper(replica)), hub, 1 << 31, operations)
    made.every_second()
    return made


def test_a_replica_and_its_operations(tmp_path: Path) -> None:
    replica = Replica.open(tmp_path / "replica", boot_id="boot", map_bytes=1 << 22)
    with replica.write() as view:
        view.put(b"key", b"value", 0)
        view.finish_operation()
        view.end_entry(1, 1, 1)
    names = [f"etcd_mvcc_{what}_total" for what in ("range", "put", "delete", "txn")]
    before = [value(name) for name in names]
    commits = value("etcd_disk_backend_commit_duration_seconds_count")
    operations = OperationCounts()
    operations.ranges, operations.puts, operations.deletes = 5, 4, 3
    operations.written_txns, operations.read_txns = 2, 1
    made = look(0, replica, operations)
    made.every_second()
    look(1, replica, operations)
    replica.close(clean=True)
    counted = [value(name) - old for name, old in zip(names, before, strict=True)]
    assert counted == [10, 4, 3, 4]  # writes once, what is answered by each worker
    assert value("etcd_disk_backend_commit_duration_seconds_count") == commits + 1
    assert value("etcd_debugging_mvcc_keys_total") == 1
    assert value("etcd_server_proposals_applied_total") == 1
    assert value("etcd_server_quota_backend_bytes") == 1 << 31
    assert 0 < value("etcd_mvcc_db_total_size_in_use_in_bytes") <= value("etcd_mvcc_db_total_size_in_bytes")
