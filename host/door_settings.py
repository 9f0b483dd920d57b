"""The settings of the etcd door: etcd's names and defaults, for where and how etcd's clients are served."""

from __future__ import annotations

from typing import Final

from oarlock.host import rules
from oarlock.host.setting import Setting

_HOUR_S: Final = 3600.0
_MOST_S: Final = 365 * 24 * _HOUR_S
"""Longer than any server runs; a longer time is a slip of the pen."""

DOOR_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "listen-client-urls",
        "listen_client_urls",
        "http://127.0.0.1:2379",
        rules.client_urls,
        "Where etcd's clients connect, http:// or https://; empty for nowhere.",
    ),
    Setting(
        "advertise-client-urls",
        "advertise_client_urls",
        "",
        rules.client_urls,
        "How etcd's clients reach this member; by default as in listen-client-urls.",
    ),
    Setting("cert-file", "cert_file", "", rules.file, "Certificate (PEM) of the https:// client URLs."),
    Setting("key-file", "key_file", "", rules.file, "Private key (PEM) of cert-file."),
    Setting(
        "trusted-ca-file",
        "trusted_ca_file",
        "",
        rules.file,
        "Authorities (PEM) one of which must have signed a client's certificate; implies client-cert-auth.",
    ),
    Setting(
        "client-cert-auth", "client_cert_auth", "false", rules.flag, "Ask clients for a certificate of trusted-ca-file."
    ),
    Setting(
        "max-concurrent-streams",
        "max_concurrent_streams",
        "4294967295",
        rules.number(1, (1 << 32) - 1),
        "Most calls at a time on one connection.",
    ),
    Setting(
        "grpc-keepalive-min-time",
        "grpc_keepalive_min_time_s",
        "5s",
        rules.duration(0.0, _MOST_S),
        "Least time between two pings of a client; one that pings oftener is cut off.",
    ),
    Setting(
        "grpc-keepalive-interval",
        "grpc_keepalive_interval_s",
        "2h",
        rules.duration(0.0, _MOST_S),
        "Silence of a connection after which the server pings; 0 for never.",
    ),
    Setting(
        "grpc-keepalive-timeout",
        "grpc_keepalive_timeout_s",
        "20s",
        rules.duration(0.0, _MOST_S),
        "Time to answer that ping, after which the connection is closed; 0 for no end.",
    ),
    Setting("enable-grpc-gateway", "enable_grpc_gateway", "true", rules.flag, "Serve the JSON API below /v3/."),
    Setting(
        "watch-progress-notify-interval",
        "watch_progress_notify_interval_s",
        "10m",
        rules.duration(0.001, _MOST_S),
        "Time between two progress notifications of an idle watch that wants them.",
    ),
    Setting("cors", "cors", "*", rules.words, "Origins from which browsers may use the HTTP API, or *; empty for any."),
    Setting(
        "host-whitelist",
        "host_whitelist",
        "*",
        rules.words,
        "Host names under which plain HTTP is served, or *; empty for any.",
    ),
)
