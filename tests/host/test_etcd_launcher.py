"""``oarlock-etcd``: etcd's flags as settings, and a server that tools take for an etcd."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oarlock.host import etcd_launcher
from oarlock.host.etcd_command_line import Given
from oarlock.host.etcd_launcher import EXIT_FAILED, EXIT_USAGE, main, settings_of
from oarlock.host.settings import Settings
from oarlock.loadgen.own_etcd import find_etcd
from oarlock.wire.errors import ConfigurationError
from tests.server import START_TIMEOUT_S, STOP_TIMEOUT_S, ReservedPort, wait_until

PROGRAM = Path(sys.executable).with_name("oarlock-etcd")
COMMAND_TIMEOUT_S = 60.0


def settings(**flags: str) -> Settings:
    return settings_of(Given({name.replace("_", "-"): value for name, value in flags.items()}, []), {})


def test_defaults_are_those_of_etcd_and_the_native_door_is_shut() -> None:
    found = settings()
    assert found.data_dir == str(Path("default.etcd").absolute())
    assert found.listen_client_urls == ("http://127.0.0.1:2379",)
    assert (found.listen_native_urls, found.listen_watch_urls, found.listen_metrics_urls) == ((), (), ())
    assert found.log_format == "etcd"


def test_flags_become_settings() -> None:
    found = settings(
        name="m1",
        listen_client_urls="http://10.0.0.1:2379",
        advertise_client_urls="http://10.0.0.1:2379",
        initial_cluster="m1=http://10.0.0.1:2380",
        quota_backend_bytes="-1",
        log_level="warn",
        log_format="console",
        experimental_watch_progress_notify_interval="1s",
    )
    assert found.data_dir == str(Path("m1.etcd").absolute())
    assert found.initial_cluster == ("m1=tcp://10.0.0.1:2380",)
    assert found.quota_backend_bytes > 1 << 60
    assert (found.log_level, found.log_format) == ("warning", "console")
    assert found.watch_progress_notify_interval_s == 1.0


def test_what_etcd_has_no_flag_for_comes_from_our_variables() -> None:
    environment = {
        "OARLOCK_WORKERS": "3",
        "OARLOCK_LISTEN_NATIVE_URLS": "tcp://127.0.0.1:5",
        "OARLOCK_LISTEN_WATCH_URLS": "tcp://127.0.0.1:6",
        "OARLOCK_NAME": "not-mine",
    }
    found = settings_of(Given({}, []), environment)
    assert (found.workers, found.listen_native_urls, found.name) == (3, ("tcp://127.0.0.1:5",), "default")


def test_listening_elsewhere_must_be_advertised() -> None:
    with pytest.raises(ConfigurationError, match="--advertise-client-urls is required when --listen-client-urls"):
        settings(listen_client_urls="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("peer-cert-file", "p.pem"),
        ("peer-client-cert-auth", "true"),
        ("peer-auto-tls", "true"),
        ("peer-trusted-ca-file", "ca.pem"),
        ("listen-peer-urls", "https://127.0.0.1:2380"),
        ("initial-cluster", "m1=https://127.0.0.1:2380"),
        ("auto-tls", "true"),
        ("client-crl-file", "crl.pem"),
        ("client-cert-allowed-hostname", "host"),
        ("cipher-suites", "TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("tls-min-version", "TLS1.3"),
        ("auth-token", "jwt,pub-key=a,priv-key=b,sign-method=RS256"),
        ("discovery", "https://discovery.example/x"),
        ("force-new-cluster", "true"),
    ],
)
def test_what_cannot_be_honoured_is_refused(flag: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^--{flag} cannot be honoured: "):
        settings(**{flag: value})


def test_values_that_ask_for_nothing_special_are_not_refused() -> None:
    assert settings(**{"peer-auto-tls": "false", "auth-token": "", "tls-min-version": "TLS1.2", "discovery": ""})


def test_the_data_of_an_etcd_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "member" / "snap").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="holds the data of an etcd"):
        settings(data_dir=str(tmp_path))


def test_naming_authorities_demands_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert settings(trusted_ca_file=str(tmp_path / "ca.pem")).client_cert_auth


def test_the_version_has_the_form_of_etcd(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in said] == ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch"]
    assert said[0].partition(": ")[2].startswith("3.")


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  --{name} '" in said for name in etcd_launcher.FLAGS)


def test_an_unknown_flag_ends_with_the_code_of_etcd(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--foo"]) == EXIT_USAGE
    assert capsys.readouterr().err.startswith("flag provided but not defined: -foo\nUsage:\n")


def test_a_refusal_is_one_line_of_the_log() -> None:
    done = subprocess.run(
        [PROGRAM, "--peer-auto-tls"], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    assert done.returncode == EXIT_FAILED
    line = json.loads(done.stderr)
    assert (line["level"], line["msg"]) == ("error", "failed to verify flags")
    assert line["error"].startswith("--peer-auto-tls cannot be honoured: ")


class Launched:
    """A server started as ``etcd``, with etcd's flags alone."""

    def __init__(self, directory: Path, name: str) -> None:
        self._ports = ReservedPort(), ReservedPort()
        self.client_url, self.peer_url = (f"http://127.0.0.1:{port.number}" for port in self._ports)
        self.said = directory / f"{name}.log"
        program = directory / "etcd"
        if not program.exists():
            program.symlink_to(PROGRAM)
        command = [str(program), "-name", name, "--data-dir", str(directory / name), "--max-wals=7"]
        command += ["--listen-client-urls", self.client_url, "--advertise-client-urls", self.client_url]
        command += ["--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url]
        command += ["--initial-cluster", f"{name}={self.peer_url}", f"--log-outputs={self.said}"]
        environment = {**os.environ, "OARLOCK_WORKERS": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said.read_text().splitlines()] if self.said.exists() else []

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.said.read_text()
        return '"msg":"ready to serve client requests"' in self.said.read_text() if self.said.exists() else False

    def etcdctl(self, *arguments: str) -> str:
        command = [str(find_etcd().with_name("etcdctl")), "--endpoints", self.client_url, *arguments]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True, env=environment
        )
        return done.stdout

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for port in self._ports:
            port.release()


ON_DASHBOARDS = {
    "etcd_cluster_version",
    "etcd_disk_backend_commit_duration_seconds_bucket",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_network_client_grpc_received_bytes_total",
    "etcd_network_client_grpc_sent_bytes_total",
    "etcd_server_has_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
    "etcd_server_quota_backend_bytes",
    "grpc_server_handled_total",
    "grpc_server_started_total",
    "process_resident_memory_bytes",
}
"""What dashboards and alerts of etcd ask a member that is alone for."""


def metric_names(server: Launched) -> set[str]:
    with urllib.request.urlopen(f"{server.client_url}/metrics", timeout=COMMAND_TIMEOUT_S) as answer:
        return set(re.findall(r"^(\w+)[{ ]", answer.read().decode(), re.MULTILINE))


def test_a_port_that_another_server_has_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        command = [PROGRAM, "--listen-client-urls", url, "--advertise-client-urls", url, "--data-dir", tmp_path / "d"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    assert done.returncode == EXIT_FAILED
    assert f"listen-client-urls: {url}: somebody listens there already" in done.stderr


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[Launched]]:
    servers = [Launched(tmp_path, name) for name in ("m1", "m2")]
    yield servers
    for server in servers:
        server.close()


def test_two_on_one_host_are_two_etcds_for_etcdctl(two: list[Launched]) -> None:
    for server in two:
        wait_until(server.is_ready, START_TIMEOUT_S, "etcd's ready line")
    for number, server in enumerate(two):
        assert server.etcdctl("put", "key", str(number)) == "OK\n"
    assert [server.etcdctl("get", "key") for server in two] == ["key\n0\n", "key\n1\n"]
    assert two[0].etcdctl("member", "list").endswith(f", m1, {two[0].peer_url}, {two[0].client_url}, false\n")
    ignored = [line["flags"] for line in two[0].lines() if line["msg"] == "flags without a meaning here are ignored"]
    assert ignored == [["max-wals"]]
    names = metric_names(two[0])
    assert names >= ON_DASHBOARDS, ON_DASHBOARDS - names
    two[0].process.send_signal(signal.SIGTERM)
    assert two[0].process.wait(STOP_TIMEOUT_S) == 0
