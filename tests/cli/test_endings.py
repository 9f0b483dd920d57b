"""How the program ends: errors, Ctrl-C, a reader that went away."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from oarlock import ConnectionFailedError, LeaseNotFoundError, TimeoutError
from tests.cli.conftest import Run

PROGRAM = [sys.executable, "-m", "oarlock.cli.main"]
HEAVY = {
    "rich",
    "aiohttp",
    "prometheus_client",
    "uvloop",
    "zmq",
    "lmdb",
    "structlog",
    "asyncio",
    "oarlock.host",
    "psutil",
}


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (LeaseNotFoundError(), 1, "etcdserver: requested lease not found"),
        (TimeoutError(), 1, "etcdserver: request timed out"),
        (ConnectionFailedError("oarlock: no endpoint\ncould be reached"), 2, "oarlock: no endpoint could be reached"),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device"),
        (ZeroDivisionError("oops"), 1, "ZeroDivisionError: oops (a bug; --debug shows where)"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    oarlock: Run, client: Any, error: Exception, code: int, text: str
) -> None:
    client.failures.append(error)
    assert oarlock("get", "k") == (code, b"", f"Error: {text}\n")


def test_debug_shows_the_traceback(oarlock: Run, client: Any) -> None:
    client.failures.append(LeaseNotFoundError())
    result = oarlock("get", "k", "--debug")
    assert result.code == 1
    assert result.err.startswith("Traceback")
    assert result.err.endswith("Error: etcdserver: requested lease not found\n")


def test_ctrl_c_is_quiet(oarlock: Run, client: Any) -> None:
    client.failures.append(KeyboardInterrupt())
    assert oarlock("get", "k") == (130, b"", "")


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, "version"], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["put"], ["lease"], ["version"]])
def test_starting_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from oarlock.cli.main import main; main(sys.argv[1:]);"
        f"print(sorted(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=True, timeout=60)
    assert done.stderr.decode().splitlines()[-1] == "[]"
