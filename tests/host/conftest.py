"""A real supervisor over fake children."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FAKE_SERVER = str(Path(__file__).with_name("fake_server.py"))
ALL_WELL = {"coordinator": "well", "worker-0": "well", "worker-1": "well"}

StartServer = Callable[..., "FakeServer"]


class FakeServer:
    """One supervisor process, its log, and the story that its children write."""

    def __init__(self, data_dir: Path, children: dict[str, str], **environment: str) -> None:
        self.data_dir = data_dir
        flags = {"data-dir": str(data_dir), "listen-metrics-urls": environment.pop("metrics_urls", ""), "workers": "2"}
        flags["listen-client-urls"] = ""
        self.process = subprocess.Popen(
            [sys.executable, FAKE_SERVER, json.dumps(flags), *(f"{name}={how}" for name, how in children.items())],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        """Reads the log up to a line with this event and these fields; the line."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            assert text.startswith("{"), text + self.process.stderr.read()
            line: dict[str, Any] = json.loads(text)
            if line["event"] == event and fields.items() <= line.items():
                return line
        raise AssertionError(f"the log ended without {event!r} {fields}")

    def wait_until_ready(self) -> FakeServer:
        self.wait_for("server ready")
        return self

    def story(self, what: str) -> list[dict[str, Any]]:
        """The lines that the children wrote about this, in order."""
        lines = [json.loads(text) for text in (self.data_dir / "story").read_text().splitlines()]
        return [line for line in lines if line["what"] == what]

    def pid_of(self, name: str) -> int:
        """The process id of the newest child of this name."""
        pid: int = [line["pid"] for line in self.story("started") if line["name"] == name][-1]
        return pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.read()  # ends when the last child, which inherited it, has ended
        self.process.stderr.close()


def wait_for_end(pids: list[int]) -> None:
    """Waits until none of these processes, which need not be our children, exists or runs."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            select.select([descriptor], [], [])
        finally:
            os.close(descriptor)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts supervisors over fake children, by default well ones; ends them after the test."""
    servers: list[FakeServer] = []

    def start(children: dict[str, str] | None = None, *, directory: str = "data", **environment: str) -> FakeServer:
        servers.append(FakeServer(tmp_path / directory, children or ALL_WELL, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
