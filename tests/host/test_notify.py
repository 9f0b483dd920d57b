"""The datagrams to systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from oarlock.host.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def test_states_are_sent_as_the_manual_has_them(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_an_unchanged_status_is_not_repeated(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    for text in ("starting", "starting", "serving"):
        notifier.status(text)
    assert [manager.recv(100) for _ in range(2)] == [b"STATUS=starting", b"STATUS=serving"]


def test_an_abstract_address_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"oarlock-test-{os.getpid()}"
        listener.bind("\0" + name)
        listener.settimeout(10)
        Notifier("@" + name).ready()
        assert listener.recv(100) == b"READY=1"


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    Notifier(None).ready()
    Notifier(str(tmp_path / "nobody")).ready()


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_it_says_so(environment: dict[str, str], interval_s: float | None) -> None:
    assert Notifier.from_environment(environment).watchdog_interval_s == interval_s
