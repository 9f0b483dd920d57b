"""Commands of etcdctl that wait for others: watches, locks, elections and keepalives, at etcd and at Oarlock."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.calls import request
from tests.differential.pair import Pair
from tests.differential.printed import alike
from tests.differential.script import ENDS_S, Ended, Session

WRITES = (
    ("KV/Put", {"key": b"w", "value": b"1"}, 1),
    ("KV/Put", {"key": b"other", "value": b"1"}, 0),
    ("KV/Put", {"key": b"w", "value": b"two words"}, 1),
    ("KV/Put", {"key": b"w/1", "value": b"under"}, 0),
    ("KV/DeleteRange", {"key": b"w"}, 1),
    ("KV/Put", {"key": b"w", "value": b"again"}, 1),
)
"""What is written while a watch of "w" looks on, and how many events that makes there."""


class Twins:
    """One command, running at both servers."""

    def __init__(self, sessions: list[Session], command: str, output_format: str = "simple") -> None:
        self._sessions = sessions
        self._command = command
        self._format = output_format
        self._processes = [session.start(command, output_format) for session in sessions]
        self._printed = [b""] * len(sessions)
        self._watchdog = threading.Timer(ENDS_S, self._kill)
        self._watchdog.start()

    def read(self, lines: int) -> None:
        """Waits until each has printed so many more lines."""
        for number, process in enumerate(self._processes):
            assert process.stdout is not None
            self._printed[number] += b"".join(process.stdout.readline() for _ in range(lines))

    def interrupt(self) -> None:
        """Interrupts both, as a person does."""
        for process in self._processes:
            process.send_signal(signal.SIGINT)

    def end_alike(self) -> None:
        """Waits for their end, and holds that both have printed the same."""
        ended = []
        for process, printed, session in zip(self._processes, self._printed, self._sessions, strict=True):
            process.wait()
            rest, err = process.communicate()
            done = Ended(process.returncode, printed + rest, err)
            ended.append(alike(done, self._command, self._format, session.ids))
        assert ended[1] == ended[0]

    def close(self) -> None:
        """Ends both for good."""
        self._watchdog.cancel()
        self._kill()
        for process in self._processes:
            process.communicate()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()


@pytest.fixture
def sessions(pair: Pair, tmp_path: Path) -> list[Session]:
    revision = pair.begin()
    pairs = zip(pair.sides, reversed(pair.sides), strict=True)
    return [Session(side, revision, tmp_path, other.endpoint) for side, other in pairs]


@contextlib.contextmanager
def running(sessions: list[Session], command: str, output_format: str = "simple") -> Iterator[Twins]:
    with contextlib.closing(Twins(sessions, command, output_format)) as twins:
        yield twins


@pytest.mark.parametrize(
    ("flags", "output_format", "lines"),
    [("", "simple", 3), ("--hex", "simple", 3), ("", "json", 1), ("", "fields", 11)],
    ids=["simple", "hex", "json", "fields"],
)
def test_a_live_watch_prints_the_same(
    pair: Pair, sessions: list[Session], flags: str, output_format: str, lines: int
) -> None:
    with running(sessions, f"watch w --rev {{REV+1}} {flags}", output_format) as watch:
        for method, fields, events in WRITES:
            pair.same(method, **fields)
            watch.read(events * lines)
        watch.interrupt()
        watch.end_alike()


def test_a_live_watch_runs_its_command(pair: Pair, sessions: list[Session]) -> None:
    command = "watch w --rev {REV+1} -- sh -c 'echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE'"
    with running(sessions, command) as watch:
        for method, fields, events in WRITES:
            pair.same(method, **fields)
            watch.read(events * 4)
        watch.interrupt()
        watch.end_alike()


def test_a_lock_is_waited_for_alike(pair: Pair, sessions: list[Session]) -> None:
    pair.same("Lease/LeaseGrant", ID=11, TTL=600)
    pair.same("Lock/Lock", name=b"l", lease=11)
    with running(sessions, "lock l echo mine") as second:
        pair.until_keys(b"l/", 2)
        pair.same("Lock/Unlock", key=b"l/b")
        second.end_alike()


def test_an_election_is_followed_alike(pair: Pair, sessions: list[Session]) -> None:
    pair.same("Lease/LeaseGrant", ID=11, TTL=600)
    pair.same("Lease/LeaseGrant", ID=12, TTL=600)
    pair.same("Election/Campaign", name=b"e", lease=11, value=b"one")
    with running(sessions, "elect --listen e") as listener:
        listener.read(2)
        pair.same("Election/Campaign", name=b"e", lease=11, value=b"two")
        listener.read(2)
        pair.same("Lease/LeaseRevoke", ID=11)
        pair.same("Election/Campaign", name=b"e", lease=12, value=b"three")
        listener.read(2)
        listener.interrupt()
        listener.end_alike()


def test_a_keepalive_ends_alike_with_its_lease(pair: Pair, sessions: list[Session]) -> None:
    pair.same("Lease/LeaseGrant", ID=11, TTL=3)
    with running(sessions, "lease keep-alive b") as keepalive:
        keepalive.read(2)
        pair.same("Lease/LeaseRevoke", ID=11)
        keepalive.end_alike()


def test_keys_are_moved_from_etcd_to_oarlock(pair: Pair, sessions: list[Session]) -> None:
    pair.etcd.caller.call("KV/Put", request("KV/Put", key=b"s/1", value=b"before"))
    with running(sessions[:1], "make-mirror --prefix s/ {OTHER}") as mirror:
        pair.until_keys(b"s/", 1)
        pair.etcd.caller.call("KV/Put", request("KV/Put", key=b"s/2", value=b"meanwhile"))
        pair.until_keys(b"s/", 2)
        pair.etcd.caller.call("KV/DeleteRange", request("KV/DeleteRange", key=b"s/1"))
        pair.until_keys(b"s/", 1)
        mirror.interrupt()
    moved = pair.oarlock.caller.call("KV/Range", request("KV/Range", key=b"s/2")).answers[0]
    assert moved.kvs[0].value == b"meanwhile"  # type: ignore[attr-defined]
