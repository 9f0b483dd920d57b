"""The settings of a server: what there is, its rule, its default. One table, from which flags and checks are made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from oarlock.host import rules
from oarlock.host.door_settings import DOOR_SETTINGS
from oarlock.host.setting import Setting
from oarlock.wire import logs


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of a server, checked.

    The supervisor hands it to its children as JSON: `to_json`, read by ``oarlock.wire.process.child_settings``.

    Invariants:
    1. Every value obeys the rule of its `Setting`; `election_timeout_ms` is at least 5 x `heartbeat_interval_ms`.
    2. ``data_dir`` and files are absolute paths. ``quota_backend_bytes`` is positive: the default is filled in.
    3. ``listen_watch_urls`` is empty exactly where ``listen_native_urls`` is, and there ``listen_client_urls`` is not.
    4. ``cert_file`` and ``key_file`` are both there or both empty; they are there where a client URL is ``https``, and
       ``trusted_ca_file`` is exactly where ``client_cert_auth`` is true. All three can be read.
    """

    name: str
    data_dir: str
    listen_native_urls: tuple[str, ...]
    listen_watch_urls: tuple[str, ...]
    listen_metrics_urls: tuple[str, ...]
    listen_peer_urls: tuple[str, ...]
    initial_advertise_peer_urls: tuple[str, ...]
    initial_cluster: tuple[str, ...]
    initial_cluster_state: str
    initial_cluster_token: str
    join: tuple[str, ...]
    advertise_native_urls: tuple[str, ...]
    listen_client_urls: tuple[str, ...]
    advertise_client_urls: tuple[str, ...]
    cert_file: str
    key_file: str
    trusted_ca_file: str
    client_cert_auth: bool
    max_concurrent_streams: int
    grpc_keepalive_min_time_s: float
    grpc_keepalive_interval_s: float
    grpc_keepalive_timeout_s: float
    enable_grpc_gateway: bool
    watch_progress_notify_interval_s: float
    cors: tuple[str, ...]
    host_whitelist: tuple[str, ...]
    strict_reconfig_check: bool
    workers: int
    heartbeat_interval_ms: int
    election_timeout_ms: int
    snapshot_count: int
    snapshot_catchup_entries: int
    auto_compaction_mode: str
    auto_compaction_retention: str
    quota_backend_bytes: int
    max_txn_ops: int
    max_request_bytes: int
    log_level: str
    log_format: str

    def to_json(self) -> str:
        """One JSON object with the fields' names as keys; tuples become lists."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The settings that `to_json` wrote."""
        given = json.loads(text)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return cls(**values)


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("name", "name", "default", rules.name, "Human-readable name of this member."),
    Setting("data-dir", "data_dir", "${name}.oarlock", rules.directory, "Where the log and the replicas live."),
    Setting(
        "listen-native-urls",
        "listen_native_urls",
        "tcp://127.0.0.1:2378",
        rules.urls("tcp", least=0),
        "Where native clients connect; empty for nowhere.",
    ),
    Setting(
        "listen-watch-urls",
        "listen_watch_urls",
        "tcp://127.0.0.1:2377",
        rules.urls("tcp", least=0),
        "Where watch events are pushed to native clients, which learn it from the greeting.",
    ),
    Setting(
        "listen-metrics-urls",
        "listen_metrics_urls",
        "http://127.0.0.1:2381",
        rules.urls("http", least=0),
        "Where /metrics, /health, /livez, /readyz and /version are served; empty for nowhere.",
    ),
    Setting(
        "listen-peer-urls",
        "listen_peer_urls",
        "tcp://127.0.0.1:2380",
        rules.peer_urls(least=1),
        "Where the other members of the cluster connect; http:// means the same as tcp://.",
    ),
    Setting(
        "initial-advertise-peer-urls",
        "initial_advertise_peer_urls",
        "",
        rules.peer_urls(least=0),
        "How the other members reach this one; by default as in listen-peer-urls.",
    ),
    Setting(
        "initial-cluster",
        "initial_cluster",
        "",
        rules.initial_cluster,
        "The members of a new cluster, name=url separated by commas; by default this member alone.",
    ),
    Setting(
        "initial-cluster-state",
        "initial_cluster_state",
        "new",
        rules.choice("new", "existing"),
        "new: begin a cluster; existing: become a member of one that runs, to which this member was added.",
    ),
    Setting(
        "initial-cluster-token",
        "initial_cluster_token",
        "etcd-cluster",
        rules.name,
        "Tells clusters apart that begin with the same URLs.",
    ),
    Setting(
        "join",
        "join",
        "",
        rules.endpoints,
        "Native ports of a cluster that runs, host:port: become a member of it, all by itself.",
    ),
    Setting(
        "advertise-native-urls",
        "advertise_native_urls",
        "",
        rules.urls("tcp", least=0),
        "How native clients reach this member; by default as in listen-native-urls.",
    ),
    *DOOR_SETTINGS,
    Setting(
        "strict-reconfig-check",
        "strict_reconfig_check",
        "true",
        rules.flag,
        "Refuse membership changes that would cost the quorum.",
    ),
    Setting(
        "workers",
        "workers",
        rules.default_workers(),
        rules.number(1, rules.MOST_WORKERS),
        "Worker processes; by default one for each core but one, at least one.",
    ),
    Setting(
        "heartbeat-interval",
        "heartbeat_interval_ms",
        "100",
        rules.number(1, 10_000),
        "Time between heartbeats of the leader, in ms.",
    ),
    Setting(
        "election-timeout",
        "election_timeout_ms",
        "1000",
        rules.number(5, 50_000),
        "Time without a leader after which a member stands for election, in ms.",
    ),
    Setting(
        "snapshot-count",
        "snapshot_count",
        "100000",
        rules.number(1, 1 << 40),
        "Log entries between two snapshots.",
    ),
    Setting(
        "snapshot-catchup-entries",
        "snapshot_catchup_entries",
        "5000",
        rules.number(1, 1 << 40),
        "Log entries kept before the newest snapshot, for members and workers that are a little behind.",
    ),
    Setting(
        "auto-compaction-mode",
        "auto_compaction_mode",
        "periodic",
        rules.choice("periodic", "revision"),
        "What auto-compaction-retention counts: periodic for time, revision for revisions.",
    ),
    Setting(
        "auto-compaction-retention",
        "auto_compaction_retention",
        "0",
        rules.retention,
        "History that is kept: hours, a time as in 30m, or so many revisions; 0 keeps all of it.",
    ),
    Setting(
        "quota-backend-bytes",
        "quota_backend_bytes",
        "0",
        rules.quota,
        "Size of the store above which writes are refused; 0 stands for 2 GiB.",
    ),
    Setting("max-txn-ops", "max_txn_ops", "128", rules.number(1, 100_000), "Most operations in one transaction."),
    Setting(
        "max-request-bytes",
        "max_request_bytes",
        str(3 << 19),
        rules.number(1024, 64 << 20),
        "Longest request, in bytes.",
    ),
    Setting("log-level", "log_level", "info", rules.choice(*logs.LEVELS), "Least level that is logged."),
    Setting(
        "log-format",
        "log_format",
        "auto",
        rules.choice(*logs.FORMATS),
        "console, json, etcd (as etcd writes it), or auto: console on a terminal, else json.",
    ),
)

assert tuple(setting.field for setting in SETTINGS) == tuple(field.name for field in fields(Settings))
