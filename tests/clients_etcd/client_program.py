"""Runs a client program beside the server, answers what it wants, and says which of its scenarios failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.clients_etcd.servers import EtcdServer

PROGRAMS = Path(__file__).parent / "programs"
PROGRAM_S = 280.0
"""For one program with all its scenarios."""
EXIT_S = 30.0
"""From a program's last word to its end."""
LAST_WORDS = 3000
"""Characters of a program's complaints that are shown."""


def python_program(name: str, server: EtcdServer, *arguments: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Runs ``programs/<name>.py`` with the server's port; see `run_program`."""
    command = [sys.executable, str(PROGRAMS / f"{name}.py"), str(server.port), *arguments]
    return run_program(command, server, env=env)


def run_program(
    command: Sequence[str], server: EtcdServer, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> list[str]:
    """Runs a client program to its end; the names of the scenarios that passed.

    Raises:
        AssertionError: a scenario failed, or the program ended otherwise than it should.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=cwd, env={**os.environ, **(env or {})}, **pipes) as process:
        complaints = Complaints(process)
        watchdog = threading.Timer(PROGRAM_S, process.kill)
        watchdog.start()
        try:
            passed, failures = converse(process, server)
            process.wait(EXIT_S)
        finally:
            watchdog.cancel()
            process.kill()
    assert not failures, "\n".join(failures)
    ended = f"{command} ended with {process.returncode} after {passed}: {complaints.last_words()}"
    assert process.returncode == 0, ended
    assert passed, ended
    return passed


def converse(process: subprocess.Popen[str], server: EtcdServer) -> tuple[list[str], list[str]]:
    """Does what the program wants until it says no more: the scenarios that passed, and the failures."""
    passed: list[str] = []
    failures: list[str] = []
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        message = json.loads(line)
        if "wants" in message:
            server.restart()
            print("done", file=process.stdin, flush=True)
        elif "passed" in message:
            passed.append(message["passed"])
        else:
            failures.append(f"{message['failed']}: {message['why']}")
    return passed, failures


class Complaints:
    """What a program writes to its standard error, read as it comes so that the program never waits."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._text = (self._text + line)[-LAST_WORDS:]

    def last_words(self) -> str:
        """The end of it; once the program has ended."""
        self._reader.join()
        return self._text
