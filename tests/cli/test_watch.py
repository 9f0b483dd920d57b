from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from oarlock import StoppedError
from tests.cli.conftest import Run

SHOW = "import os; print(*sorted(f'{n}={v}' for n, v in os.environ.items() if n.startswith('ETCD_WATCH')), sep=' ')"


@pytest.fixture
def written(oarlock: Run) -> Run:
    for line in ("put k 1", "put k 2", "del k", "put kk 3"):
        oarlock(*line.split())
    return oarlock


def test_events_are_printed_until_ctrl_c(written: Run) -> None:
    assert written("watch", "k", "--rev", "2") == (130, b"PUT\nk\n1\nPUT\nk\n2\nDELETE\nk\n\n", "")


def test_previous_values_come_before_the_new_ones(written: Run) -> None:
    assert written("watch", "k", "--rev=3", "--prev-kv").out == b"PUT\nk\n1\nk\n2\nDELETE\nk\n2\nk\n\n"


@pytest.mark.parametrize(
    ("arguments", "keys"), [(["k", "--prefix"], 4), (["k", "kj"], 3), (["kk"], 1), (["", "--prefix"], 4)]
)
def test_ranges(written: Run, arguments: list[str], keys: int) -> None:
    assert written("watch", "--rev", "2", *arguments, "-w", "json").out.count(b'"kv"') == keys


def test_progress(written: Run) -> None:
    assert written("watch", "kk", "--progress-notify", "--rev", "6").out == b"progress notify: 5\n"
    assert written("watch", "kk", "--progress-notify", "--rev", "6", "-w", "json").out.count(b'"Events":[]') == 1


def test_a_command_runs_for_each_event(written: Run) -> None:
    result = written("watch", "k", "--rev", "3", "--", sys.executable, "-c", SHOW)
    assert result.out.decode().splitlines() == [
        "PUT", "k", "2",
        'ETCD_WATCH_EVENT_TYPE="PUT" ETCD_WATCH_KEY="k" ETCD_WATCH_REVISION=3 ETCD_WATCH_VALUE="2"',
        "DELETE", "k", "",
        'ETCD_WATCH_EVENT_TYPE="DELETE" ETCD_WATCH_KEY="k" ETCD_WATCH_REVISION=4 ETCD_WATCH_VALUE=""',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "problem"),
    [("false", 'command ["false"] error (exit status 1)'), ("/nowhere/x", 'command ["/nowhere/x"] error (')],
)
def test_a_failing_command_ends_the_watch(written: Run, client: Any, command: str, problem: str) -> None:
    result = written("watch", "k", "--rev", "2", "--", command)
    assert (result.code, result.out) == (1, b"PUT\nk\n1\n")
    assert result.err.startswith(f"Error: {problem}")
    assert client.watches[0].cancelled


def test_the_key_may_come_from_the_environment(written: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OARLOCK_WATCH_KEY", "kk")
    assert written("watch", "--rev", "2").out == b"PUT\nkk\n3\n"
    assert written("watch", "k").err == "Error: bad number of arguments (found conflicting environment key)\n"


def test_a_watch_that_the_server_ends(oarlock: Run, client: Any) -> None:
    client.failures.append(StoppedError())
    result = oarlock("watch", "k")
    assert result.code == 5
    assert result.err == "watch was canceled (etcdserver: server stopped)\nError: watch is canceled by the server\n"


def test_interactive_lines(written: Run, client: Any, tmp_path: Path) -> None:
    made = tmp_path / "made"
    lines = f"watch kk --rev 2\n\nwatch k --rev 4 --prev-kv -- touch {made}\nprogress\nfrob\n"
    result = written("watch", "-i", stdin=lines.encode())
    assert result.code == 3
    assert result.out == b"PUT\nkk\n3\nDELETE\nk\n2\nk\n\nprogress notify: 5\n"
    assert result.err.splitlines() == [
        "Invalid command  (watch and progress supported)",
        "Invalid command frob (watch and progress supported)",
        "Error: error reading watch request line: EOF",
    ]
    assert made.exists()
    assert all(watch.cancelled for watch in client.watches)


def test_an_interactive_watch_that_ends_does_not_end_the_others(written: Run) -> None:
    written("compact", "4")
    result = written("watch", "-i", stdin=b"watch k --rev 2\nwatch kk --rev 4\nwatch kk --rev 4 -- false\n")
    assert result.out == b"PUT\nkk\n3\n" * 2
    assert result.err.splitlines() == [
        "watch was canceled (etcdserver: mvcc: required revision has been compacted)",
        'Error: command ["false"] error (exit status 1)',
        "Error: error reading watch request line: EOF",
    ]
