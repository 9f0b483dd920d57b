"""All flags of etcd 3.5 and later, with what each means here: a setting, nothing, or a refusal.

A flag is refused where ignoring it would leave a server less protected, or another cluster, than was asked for. Those
that only tune what works otherwise here are ignored.
"""

from __future__ import annotations

from typing import Final

from oarlock.host.etcd_flags import Flag, Kind

_TEXT, _TRUTH, _COUNT, _NUMBER, _TIME = Kind.TEXT, Kind.TRUTH, Kind.COUNT, Kind.NUMBER, Kind.DURATION

_PEER_TLS: Final = "links between members are not encrypted: use http:// peer URLs on a network that you trust"
_DISCOVERY: Final = "members are not discovered: give --initial-cluster"


def _served(name: str, kind: Kind, default: str, setting: str = "") -> Flag:
    return Flag(name, kind, default, setting=setting or name)


def _idle(kind: Kind, default: str, *names: str) -> tuple[Flag, ...]:
    return tuple(Flag(name, kind, default) for name in names)


def _refused(why: str, kind: Kind, default: str, *names: str, harmless: tuple[str, ...] = ()) -> tuple[Flag, ...]:
    return tuple(Flag(name, kind, default, refusal=why, harmless=harmless) for name in names)


MEMBER: Final = (
    _served("name", _TEXT, "default"),
    _served("data-dir", _TEXT, "${name}.etcd"),
    _served("snapshot-count", _COUNT, "100000"),
    _served("snapshot-catchup-entries", _COUNT, "5000"),
    _served("experimental-snapshot-catchup-entries", _COUNT, "5000", "snapshot-catchup-entries"),
    _served("heartbeat-interval", _COUNT, "100"),
    _served("election-timeout", _COUNT, "1000"),
    _served("listen-peer-urls", _TEXT, "http://localhost:2380"),
    _served("listen-client-urls", _TEXT, "http://localhost:2379"),
    _served("quota-backend-bytes", _NUMBER, "0"),
    _served("max-txn-ops", _COUNT, "128"),
    _served("max-request-bytes", _COUNT, "1572864"),
    _served("max-concurrent-streams", _COUNT, "4294967295"),
    _served("grpc-keepalive-min-time", _TIME, "5s"),
    _served("grpc-keepalive-interval", _TIME, "2h"),
    _served("grpc-keepalive-timeout", _TIME, "20s"),
    _served("watch-progress-notify-interval", _TIME, "10m"),
    _served("experimental-watch-progress-notify-interval", _TIME, "10m", "watch-progress-notify-interval"),
    _served("enable-grpc-gateway", _TRUTH, "true"),
    *_refused("HTTP has no port of its own: it is served on the client URLs", _TEXT, "", "listen-client-http-urls"),
    *_idle(_TEXT, "", "wal-dir"),
    *_idle(_TRUTH, "true", "initial-election-tick-advance"),
    *_idle(_COUNT, "5", "max-snapshots", "max-wals"),
    *_idle(_TRUTH, "false", "memory-mlock", "experimental-memory-mlock", "socket-reuse-port", "socket-reuse-address"),
    *_idle(_TIME, "5s", "raft-read-timeout", "raft-write-timeout", "experimental-wait-cluster-ready-timeout"),
    *_idle(_TEXT, "", "experimental-local-address"),
)

BACKEND: Final = (
    *_idle(_TEXT, "map", "backend-bbolt-freelist-type", "experimental-backend-bbolt-freelist-type"),
    *_idle(_TIME, "0", "backend-batch-interval"),
    *_idle(_NUMBER, "0", "backend-batch-limit"),
    *_idle(_NUMBER, "1000", "compaction-batch-limit", "experimental-compaction-batch-limit"),
    *_idle(_TIME, "10ms", "compaction-sleep-interval", "experimental-compaction-sleep-interval"),
    *_idle(_COUNT, "0", "bootstrap-defrag-threshold-megabytes", "experimental-bootstrap-defrag-threshold-megabytes"),
    *_idle(_TRUTH, "true", "experimental-txn-mode-write-with-shared-buffer"),
    *_idle(_TRUTH, "false", "experimental-enable-lease-checkpoint", "experimental-enable-lease-checkpoint-persist"),
    *_idle(_TRUTH, "false", "experimental-stop-grpc-service-on-defrag", "experimental-set-member-localaddr"),
    *_idle(_TRUTH, "false", "unsafe-no-fsync"),
    _served("auto-compaction-mode", _TEXT, "periodic"),
    _served("auto-compaction-retention", _TEXT, "0"),
)

CLUSTERING: Final = (
    _served("initial-advertise-peer-urls", _TEXT, "http://localhost:2380"),
    _served("advertise-client-urls", _TEXT, "http://localhost:2379"),
    _served("initial-cluster", _TEXT, ""),
    _served("initial-cluster-state", _TEXT, "new"),
    _served("initial-cluster-token", _TEXT, "etcd-cluster"),
    _served("strict-reconfig-check", _TRUTH, "true"),
    *_idle(_TRUTH, "true", "pre-vote"),
    *_idle(_NUMBER, "1", "max-learners", "experimental-max-learners"),
    *_refused(_DISCOVERY, _TEXT, "", "discovery", "discovery-srv", "discovery-endpoints"),
    *_idle(_TEXT, "", "discovery-proxy", "discovery-srv-name", "discovery-token", "discovery-cert", "discovery-key"),
    *_idle(_TEXT, "", "discovery-cacert", "discovery-user", "discovery-password"),
    *_idle(_TEXT, "proxy", "discovery-fallback"),
    *_idle(_TIME, "2s", "discovery-dial-timeout", "discovery-keepalive-time"),
    *_idle(_TIME, "5s", "discovery-request-timeout"),
    *_idle(_TIME, "6s", "discovery-keepalive-timeout"),
    *_idle(_TRUTH, "true", "discovery-insecure-transport"),
    *_idle(_TRUTH, "false", "discovery-insecure-skip-tls-verify"),
    *_refused(
        "a cluster that has lost its majority is not made anew from one member: restore a backup",
        *(_TRUTH, "false", "force-new-cluster"),
    ),
    *_idle(_TRUTH, "false", "enable-v2"),
    *_idle(_TEXT, "not-yet", "v2-deprecation"),
    *_idle(_TEXT, "", "experimental-enable-v2v3"),
    *_refused("there is no proxy for etcd's version 2", _TEXT, "off", "proxy"),
    *_idle(_COUNT, "5000", "proxy-failure-wait", "proxy-write-timeout"),
    *_idle(_COUNT, "30000", "proxy-refresh-interval"),
    *_idle(_COUNT, "1000", "proxy-dial-timeout"),
    *_idle(_COUNT, "0", "proxy-read-timeout"),
)

SECURITY: Final = (
    _served("cert-file", _TEXT, ""),
    _served("key-file", _TEXT, ""),
    _served("client-cert-auth", _TRUTH, "false"),
    _served("trusted-ca-file", _TEXT, ""),
    _served("cors", _TEXT, "*"),
    _served("host-whitelist", _TEXT, "*"),
    *_refused("no certificate is made here: give --cert-file and --key-file", _TRUTH, "false", "auto-tls"),
    *_refused("certificates are not looked up in revocation lists", _TEXT, "", "client-crl-file"),
    *_refused("names in clients' certificates are not checked", _TEXT, "", "client-cert-allowed-hostname"),
    *_refused("cipher suites cannot be chosen: they are those of OpenSSL's defaults", _TEXT, "", "cipher-suites"),
    *_refused(
        "the oldest TLS version is TLS 1.2 and cannot be chosen", _TEXT, "", "tls-min-version", harmless=("TLS1.2",)
    ),
    *_idle(_TEXT, "", "tls-max-version", "client-cert-file", "client-key-file"),
    *_refused(
        _PEER_TLS,
        *(_TEXT, "", "peer-cert-file", "peer-key-file", "peer-client-cert-file", "peer-client-key-file"),
        *("peer-trusted-ca-file", "peer-cert-allowed-cn", "peer-cert-allowed-hostname", "peer-crl-file"),
    ),
    *_refused(_PEER_TLS, _TRUTH, "false", "peer-client-cert-auth", "peer-auto-tls"),
    *_idle(_TRUTH, "false", "peer-skip-client-san-verification", "experimental-peer-skip-client-san-verification"),
    *_idle(_COUNT, "1", "self-signed-cert-validity"),
    *_refused("tokens are signed with keys of the cluster's own", _TEXT, "simple", "auth-token", harmless=("",)),
    *_idle(_COUNT, "10", "bcrypt-cost"),
    *_idle(_COUNT, "300", "auth-token-ttl"),
)

MONITORING: Final = (
    _served("listen-metrics-urls", _TEXT, ""),
    _served("log-level", _TEXT, "info"),
    _served("log-format", _TEXT, "json"),
    Flag("log-outputs", _TEXT, "default", setting="log-outputs"),
    *_idle(_TEXT, "basic", "metrics"),
    *_idle(_TRUTH, "false", "enable-pprof", "enable-log-rotation"),
    *_idle(_TEXT, "zap", "logger"),
    *_idle(_TEXT, "", "log-rotation-config-json", "feature-gates"),
    *_idle(_TIME, "100ms", "warning-apply-duration", "experimental-warning-apply-duration"),
    *_idle(_TIME, "300ms", "warning-unary-request-duration", "experimental-warning-unary-request-duration"),
    *_idle(_TRUTH, "false", "enable-distributed-tracing", "experimental-enable-distributed-tracing"),
    *_idle(_TEXT, "localhost:4317", "distributed-tracing-address", "experimental-distributed-tracing-address"),
    *_idle(_TEXT, "etcd", "distributed-tracing-service-name", "experimental-distributed-tracing-service-name"),
    *_idle(_TEXT, "", "distributed-tracing-instance-id", "experimental-distributed-tracing-instance-id"),
    *_idle(_NUMBER, "0", "distributed-tracing-sampling-rate", "experimental-distributed-tracing-sampling-rate"),
    *_idle(_TRUTH, "false", "experimental-initial-corrupt-check", "experimental-compact-hash-check-enabled"),
    *_idle(_TIME, "0s", "corrupt-check-time", "experimental-corrupt-check-time"),
    *_idle(_TIME, "1m", "compact-hash-check-time", "experimental-compact-hash-check-time"),
    *_idle(_TIME, "5s", "downgrade-check-time", "experimental-downgrade-check-time"),
)

GROUPS: Final = {
    "Member": MEMBER,
    "Backend": BACKEND,
    "Clustering": CLUSTERING,
    "Security": SECURITY,
    "Monitoring and logging": MONITORING,
}
FLAGS: Final = {flag.name: flag for group in GROUPS.values() for flag in group}
