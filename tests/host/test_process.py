"""The child's side of the hand-over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from oarlock.wire import process
from oarlock.wire.errors import ConfigurationError


def test_settings_come_from_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(process.SETTINGS, '{"name": "m1"}')
    monkeypatch.setenv(process.WORKER_NUMBER, "3")
    monkeypatch.setenv(process.REBUILD_REPLICA, "1")
    assert process.child_settings() == {"name": "m1"}
    assert process.worker_number() == 3
    assert process.rebuild_requested()


def test_a_program_started_by_hand_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(process.SETTINGS, raising=False)
    with pytest.raises(ConfigurationError, match="started by `oarlock serve`"):
        process.child_settings()


@pytest.mark.parametrize(("text", "complaint"), [("{", "is not JSON"), ("[1]", "must be a JSON object")])
def test_a_broken_hand_over_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, complaint: str) -> None:
    monkeypatch.setenv(process.SETTINGS, text)
    with pytest.raises(ConfigurationError, match=complaint):
        process.child_settings()


@pytest.mark.parametrize("text", ["", "-1", "one"])
def test_a_worker_needs_a_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(process.WORKER_NUMBER, text)
    with pytest.raises(ConfigurationError, match="must be a number from 0"):
        process.worker_number()


def test_reports_are_packets_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        monkeypatch.setenv(process.PARENT_FD, str(theirs.fileno()))
        process.notify_ready(leader=True)
        process.notify_alive(alarms=["NOSPACE"])
        process.notify_fatal("no")
        process.notify_stopping()
        assert [json.loads(ours.recv(process.MAX_REPORT_BYTES)) for _ in range(4)] == [
            {"event": "ready", "leader": True},
            {"event": "alive", "alarms": ["NOSPACE"]},
            {"event": "fatal", "reason": "no"},
            {"event": "stopping"},
        ]


def test_a_supervisor_that_does_not_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.setblocking(False)
        monkeypatch.setenv(process.PARENT_FD, str(theirs.fileno()))
        for _ in range(10_000):
            process.notify_alive()


def test_without_a_supervisor_reports_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(process.PARENT_FD, raising=False)
    process.notify_ready()
    process.die_with_parent()


def test_an_overlong_report_is_a_mistake_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(process.PARENT_FD, "1")
    with pytest.raises(ValueError, match="exceeds"):
        process.notify_alive(alarms=["x" * process.MAX_REPORT_BYTES])


CHILD = """
from oarlock.wire import process
if {without_prctl}:
    process._prctl = lambda *_: None
process.die_with_parent()
process.notify_ready()
import signal
while True:
    signal.pause()
"""


def start_child(without_prctl: bool, parent_pid: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        environment = {
            **os.environ,
            process.PARENT_FD: str(theirs.fileno()),
            process.PARENT_PID: str(parent_pid),
        }
        code = CHILD.format(without_prctl=without_prctl)
        child = subprocess.Popen([sys.executable, "-c", code], env=environment, pass_fds=[theirs.fileno()])
    return child, ours


def test_the_closed_socket_alone_ends_the_child() -> None:
    child, ours = start_child(without_prctl=True, parent_pid=os.getpid())
    with child:
        assert json.loads(ours.recv(1000)) == {"event": "ready"}
        ours.close()
        assert child.wait() == -signal.SIGKILL


def test_a_child_whose_parent_is_gone_already_dies_at_once() -> None:
    child, ours = start_child(without_prctl=False, parent_pid=os.getpid() + 1)
    with child, ours:
        assert child.wait() == -signal.SIGKILL


def test_the_title_is_seen_in_ps_and_top() -> None:
    code = (
        "import os; from oarlock.wire import process; process.set_process_title('oarlock: worker 0');"
        "os.write(1, open('/proc/self/cmdline', 'rb').read().rstrip(bytes(1)) + open('/proc/self/comm', 'rb').read())"
    )
    output = subprocess.check_output([sys.executable, "-c", code])
    assert output == b"oarlock: worker 0worker 0\n"


def test_a_title_longer_than_the_command_line_is_cut() -> None:
    code = (
        "import os; from oarlock.wire import process; process.set_process_title('x' * 5000);"
        "os.write(1, open('/proc/self/cmdline', 'rb').read())"
    )
    arguments = [sys.executable, "-c", code]
    output = subprocess.check_output(arguments)
    assert len(output) == sum(len(argument) + 1 for argument in arguments)
    assert set(output) == {ord("x"), 0}
