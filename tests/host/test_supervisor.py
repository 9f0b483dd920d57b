"""A real supervisor process over fake children."""

from __future__ import annotations

import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.server import is_listening, wait_until

from .conftest import ALL_WELL, StartServer, wait_for_end

LISTENING_S = 30.0


def own_port() -> int:
    """A port below those that the kernel gives out by itself, and of this test process alone."""
    return 20_000 + os.getpid() % 10_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_workers_before_the_coordinator(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server().wait_until_ready()
    assert server.stop(number) == 0
    names = [line["name"] for line in server.story("stopped")]
    assert sorted(names) == sorted(ALL_WELL)
    assert names[-1] == "coordinator"


def test_children_have_names_in_ps(start_server: StartServer) -> None:
    server = start_server().wait_until_ready()
    for name in ALL_WELL:
        command = Path(f"/proc/{server.pid_of(name)}/cmdline").read_bytes()
        assert command.rstrip(b"\0").decode() == f"oarlock: {name}"


def test_a_killed_worker_is_started_again_alone(start_server: StartServer) -> None:
    server = start_server().wait_until_ready()
    os.kill(server.pid_of("worker-0"), signal.SIGKILL)
    assert server.wait_for("child died")["reason"] == "killed by SIGKILL"
    server.wait_for("child ready", child="worker-0")
    starts = [(line["name"], line["rebuild"]) for line in server.story("started")]
    assert sorted(starts) == [("coordinator", False), ("worker-0", False), ("worker-0", False), ("worker-1", False)]


def test_a_killed_coordinator_is_started_again_alone(start_server: StartServer) -> None:
    server = start_server().wait_until_ready()
    os.kill(server.pid_of("coordinator"), signal.SIGKILL)
    server.wait_for("child ready", child="coordinator")
    assert sorted(line["name"] for line in server.story("started")) == sorted([*ALL_WELL, "coordinator"])


def test_a_worker_that_died_on_its_memory_map_rebuilds(start_server: StartServer) -> None:
    server = start_server().wait_until_ready()
    os.kill(server.pid_of("worker-1"), signal.SIGBUS)
    server.wait_for("child ready", child="worker-1")
    assert [line["rebuild"] for line in server.story("started") if line["name"] == "worker-1"] == [False, True]


def test_a_worker_may_ask_for_a_rebuild(start_server: StartServer) -> None:
    server = start_server({**ALL_WELL, "worker-0": "dies-first"}).wait_until_ready()
    assert [line["rebuild"] for line in server.story("started") if line["name"] == "worker-0"] == [False, True]


def test_a_worker_that_keeps_dying_does_not_hold_up_the_others(start_server: StartServer) -> None:
    server = start_server({**ALL_WELL, "worker-1": "dies"})
    assert server.wait_for("child keeps dying")["child"] == "worker-1"
    server.wait_for("server ready")


def test_what_no_restart_can_help_stops_the_server(start_server: StartServer) -> None:
    server = start_server({**ALL_WELL, "coordinator": "fatal"})
    assert server.wait_for("the server cannot go on")["reason"] == "coordinator: the log is damaged"
    assert server.process.wait() == 78


def test_a_second_signal_does_not_wait(start_server: StartServer) -> None:
    server = start_server({**ALL_WELL, "worker-0": "deaf"}).wait_until_ready()
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("stopping")
    assert server.stop() == 1


def test_all_die_with_the_supervisor(start_server: StartServer) -> None:
    server = start_server({**ALL_WELL, "worker-1": "deaf"}).wait_until_ready()
    pids = [server.pid_of(name) for name in ALL_WELL]
    server.process.kill()
    wait_for_end(pids)


def test_a_stopped_child_dies_with_the_supervisor_too(start_server: StartServer) -> None:
    server = start_server().wait_until_ready()
    pid = server.pid_of("worker-0")
    os.kill(pid, signal.SIGSTOP)
    server.process.kill()
    wait_for_end([pid])


def test_a_stopped_child_can_be_asked_to_stop(start_server: StartServer) -> None:
    server = start_server().wait_until_ready()
    os.kill(server.pid_of("worker-0"), signal.SIGSTOP)
    assert server.stop() == 0
    assert len(server.story("stopped")) == len(ALL_WELL)


def test_a_directory_has_one_server(start_server: StartServer) -> None:
    first = start_server().wait_until_ready()
    reason = start_server().wait_for("refused")["reason"]
    assert str(first.data_dir) in reason
    assert f"process {first.process.pid}" in reason
    assert first.process.poll() is None


def test_a_server_can_follow_a_killed_one_at_once(start_server: StartServer) -> None:
    first = start_server().wait_until_ready()
    pids = {first.pid_of(name) for name in ALL_WELL}
    first.process.kill()
    first.process.wait()
    second = start_server().wait_until_ready()
    assert not pids & {second.pid_of(name) for name in ALL_WELL}
    assert second.stop() == 0


def test_pages_are_served(start_server: StartServer) -> None:
    url = f"http://127.0.0.1:{own_port()}"
    server = start_server(metrics_urls=url).wait_until_ready()

    def get(path: str) -> str:
        with urllib.request.urlopen(url + path, timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    assert get("/health") == '{"health":"true","reason":""}'
    assert get("/livez") == get("/readyz") == "ok\n"
    assert '"etcdserver"' in get("/version")
    os.kill(server.pid_of("worker-0"), signal.SIGKILL)
    server.wait_for("child ready", child="worker-0")
    metrics = get("/metrics").splitlines()
    assert "oarlock_test_starts_total 4.0" in metrics  # of three children, one of them started twice
    assert "oarlock_test_running 3.0" in metrics


def test_a_server_without_leader_is_not_healthy(start_server: StartServer) -> None:
    endpoint = f"127.0.0.1:{own_port()}"
    url = f"http://{endpoint}"
    server = start_server({"coordinator": "leaderless", "worker-0": "well"}, metrics_urls=url)
    server.wait_for("child ready")
    server.wait_for("child ready")
    wait_until(lambda: is_listening(endpoint), LISTENING_S, "a server that listens")  # it does so behind its children
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(url + "/health", timeout=30)
    assert raised.value.code == 503
    assert b"RAFT NO LEADER" in raised.value.read()


def test_a_taken_port_is_refused_by_name(start_server: StartServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        server = start_server(metrics_urls=url)
        assert url in server.wait_for("refused")["reason"]
        assert server.process.wait() == 1


def test_systemd_hears_of_every_state(start_server: StartServer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        # The watchdog is due every 0.1 s, so that the test need not wait long for it.
        server = start_server(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
        heard: list[bytes] = []
        while not {b"READY=1", b"WATCHDOG=1", b"STATUS=2 of 2 workers ready, leader known"} <= set(heard):
            heard.append(manager.recv(200))
        server.process.send_signal(signal.SIGTERM)
        while heard[-1] != b"STATUS=stopping":
            heard.append(manager.recv(200))
        assert heard[-2] == b"STOPPING=1"
        assert heard.count(b"READY=1") == 1
        assert server.process.wait() == 0
