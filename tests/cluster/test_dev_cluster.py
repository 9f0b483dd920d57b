"""`oarlock dev-cluster`, with a terminal and without."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import oarlock
from tests.dev_terminal import END_TIMEOUT_S, DevTerminal

Start = Callable[..., DevTerminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[DevTerminal] = []

    def start(*arguments: str, terminal: bool = True) -> DevTerminal:
        started.append(DevTerminal(tmp_path, *arguments, terminal=terminal))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_members_fail_and_come_back_at_the_press_of_keys(start: Start) -> None:
    terminal = start().wait_until_ready()
    with oarlock.connect(terminal.endpoints[2], timeout_s=20) as client:
        terminal.press("1k")
        terminal.wait_for("== m1 is killed")
        assert client.put("k", "1").header.revision > 1
        terminal.press("r")  # m1 is still the one that is meant
        terminal.wait_for(r"m1 \| .*server ready")
        terminal.press("2f")
        terminal.wait_for("== m2 is frozen")
        assert client.put("k", "2").prev_kv is None
        terminal.press("t")
        terminal.wait_for("== m2 goes on")
    terminal.press("3s")
    terminal.wait_for("== m3 is stopped")
    with oarlock.connect(terminal.endpoints[1], timeout_s=20) as client:
        assert client.get("k") is not None
    terminal.press("q")
    assert terminal.process.wait(END_TIMEOUT_S) == 0


def test_each_member_has_a_colour_on_a_terminal_and_keys_are_explained(start: Start) -> None:
    terminal = start("--members", "1").wait_until_ready()
    assert "\x1b[36mm1 |\x1b[0m" in terminal.raw
    terminal.press("?")
    terminal.wait_for("== 1 to 1 choose a member, then s stop")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_nothing_is_left(start: Start, number: signal.Signals) -> None:
    terminal = start("--members", "2", "--data-dir", "kept", terminal=False).wait_until_ready()
    processes = terminal.processes()
    assert len(processes) == 1 + 2 * 3
    assert terminal.end(number) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    assert psutil.wait_procs(processes, END_TIMEOUT_S)[1] == []
    assert "\x1b" not in terminal.raw


def test_a_temporary_directory_is_removed(start: Start) -> None:
    terminal = start("--members", "1", terminal=False).wait_until_ready()
    directory = Path(terminal.text.split("Data: ")[1].split(" (")[0])
    assert (directory / "m1" / "identity.json").exists()
    terminal.end()
    assert not directory.exists()


def test_data_in_a_directory_given_stay_with_their_ports(start: Start, tmp_path: Path) -> None:
    terminal = start("--members", "1", "--data-dir", "kept").wait_until_ready()
    endpoints = terminal.endpoints
    with oarlock.connect(endpoints, timeout_s=20) as client:
        client.put("k", "v")
    assert terminal.end() == 0
    again = start("--members", "1", "--data-dir", "kept").wait_until_ready()
    assert again.endpoints == endpoints
    with oarlock.connect(endpoints, timeout_s=20) as client:
        found = client.get("k")
    assert found is not None
    assert found.value == b"v"


def test_a_member_that_cannot_start_ends_it_all(start: Start, tmp_path: Path) -> None:
    first = start("--members", "1", "--data-dir", "kept", terminal=False).wait_until_ready()
    first.end()
    (tmp_path / "kept" / "m1" / "identity.json").write_text("{")
    second = start("--members", "1", "--data-dir", "kept", terminal=False)
    assert second.process.wait(END_TIMEOUT_S) == 1
    assert "== m1 has ended by itself (exit code 78)" in second.text


def test_ports_in_use_are_named(start: Start, tmp_path: Path) -> None:
    first = start("--members", "1", "--data-dir", "a", terminal=False).wait_until_ready()
    (tmp_path / "b").mkdir()
    plan = (tmp_path / "a" / "cluster.json").read_text()
    (tmp_path / "b" / "cluster.json").write_text(plan)
    second = start("--members", "1", "--data-dir", "b", terminal=False)
    assert second.process.wait(END_TIMEOUT_S) == 1
    assert f"port {json.loads(plan)[0][1]} cannot be had" in second.text
    assert first.process.poll() is None
