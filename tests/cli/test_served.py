"""The command as a process of its own, against a real server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.server import Server

PROGRAM = [sys.executable, "-m", "oarlock.cli.main"]
Oarlock = Callable[..., bytes]


@pytest.fixture
def oarlock(shared_server: Server) -> Oarlock:
    def run(*arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            [*PROGRAM, *arguments], env=shared_server.env, input=stdin, capture_output=True, check=True, timeout=60
        )
        assert done.stderr == b""
        return done.stdout

    return run


@contextmanager
def started(server: Server, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        env=server.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[bytes], count: int) -> list[bytes]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_a_watch_shows_changes_as_they_come_and_ends_quietly(shared_server: Server, oarlock: Oarlock) -> None:
    oarlock("put", "cli-watch", "0")
    revision = oarlock("get", "cli-watch", "-w", "json").split(b'"mod_revision":')[1].split(b",")[0].decode()
    with started(shared_server, "watch", "cli-watch", "--rev", revision) as process:
        assert lines(process, 3) == [b"PUT\n", b"cli-watch\n", b"0\n"]
        oarlock("put", "cli-watch", "1")
        assert lines(process, 3) == [b"PUT\n", b"cli-watch\n", b"1\n"]
        oarlock("del", "cli-watch")
        assert lines(process, 3) == [b"DELETE\n", b"cli-watch\n", b"\n"]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 130


def test_an_interactive_watch_goes_on_while_the_next_line_is_awaited(shared_server: Server, oarlock: Oarlock) -> None:
    with started(shared_server, "watch", "-i") as process:
        assert process.stdin is not None
        process.stdin.write(b"watch cli-line\nwatch cli-none -- false\nprogress\n")
        process.stdin.flush()
        assert lines(process, 1)[0].startswith(b"progress notify: ")
        oarlock("put", "cli-line", "1")
        assert lines(process, 3) == [b"PUT\n", b"cli-line\n", b"1\n"]
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (3, b"", b"Error: error reading watch request line: EOF\n")


@pytest.mark.slow
def test_a_lease_is_kept_alive_until_it_is_revoked(shared_server: Server, oarlock: Oarlock) -> None:
    lease = oarlock("lease", "grant", "15").split()[1].decode()
    with started(shared_server, "lease", "keep-alive", lease) as process:
        assert lines(process, 1) == [f"lease {lease} keepalived with TTL(15)\n".encode()]
        oarlock("lease", "revoke", lease)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.endswith(f"lease {lease} expired or revoked.\n".encode())


def test_a_reader_that_goes_away_ends_a_watch(shared_server: Server, oarlock: Oarlock) -> None:
    with started(shared_server, "watch", "cli-pipe", "--rev", "1") as process:
        assert process.stdout is not None
        oarlock("put", "cli-pipe", "1")
        assert lines(process, 1) == [b"PUT\n"]
        process.stdout.close()
        oarlock("put", "cli-pipe", "2")
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_transaction_on_a_pipe(oarlock: Oarlock) -> None:
    text = b'version("cli-txn") = "0"\n\nput cli-txn made\n\nget cli-txn\n\n'
    assert oarlock("txn", stdin=text) == b"SUCCESS\n\nOK\n"
    assert oarlock("txn", stdin=text) == b"FAILURE\n\ncli-txn\nmade\n"


def test_nobody_listens() -> None:
    done = subprocess.run(
        [*PROGRAM, "get", "k", "--endpoints", "127.0.0.1:1", "--dial-timeout", "200ms"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Error: oarlock: no endpoint could be reached")
    assert done.stderr.count(b"\n") == 1
