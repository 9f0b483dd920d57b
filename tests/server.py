"""A real server for tests: `oarlock serve` in a temporary folder, on ports that nobody else gets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
LOOK_S = 0.02


class ReservedPort:
    """A port that stays ours: bound with SO_REUSEPORT for as long as the test runs, but never listened on.

    The server binds it as well, with the same option; nobody who asks the kernel for a free port is given it.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Lets others have it."""
        self._socket.close()


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Waits for a condition of another process, which nothing but a look can tell.

    Raises:
        AssertionError: it did not come true in time; names ``what``.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(LOOK_S)


def is_listening(endpoint: str) -> bool:
    """Whether somebody accepts connections at ``host:port``."""
    host, _, port = endpoint.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), START_TIMEOUT_S):
        return True
    return False


class Place(NamedTuple):
    """Where a server runs: its address there, and the command that enters it."""

    host: str = "127.0.0.1"
    enter: tuple[str, ...] = ()


class Server:
    """One server, which can be stopped, killed, in whole or in part, and started again on the same data.

    Args:
        directory: for its data and its log.
        workers: how many.
        arguments: further flags.
        place: where it runs.
    """

    def __init__(
        self, directory: Path, *, workers: int = 2, arguments: tuple[str, ...] = (), place: Place | None = None
    ) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.log_path = directory / "server.log"
        self.workers = workers
        self.arguments = arguments
        self.extra_env: dict[str, str] = {}
        self._ports = (ReservedPort(), ReservedPort(), ReservedPort(), ReservedPort())
        self._process: subprocess.Popen[bytes] | None = None
        self.place = place or Place()
        self.native_endpoint = f"{self.place.host}:{self._ports[0].number}"
        self.watch_endpoint = f"{self.place.host}:{self._ports[1].number}"
        self.peer_url = f"tcp://{self.place.host}:{self._ports[2].number}"
        self.client_endpoint = f"{self.place.host}:{self._ports[3].number}"
        self.client_url = f"http://{self.client_endpoint}"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which `oarlock` commands reach this server."""
        return {
            **os.environ,
            "OARLOCK_ENDPOINTS": self.native_endpoint,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Server:
        """Starts it and waits until all workers serve."""
        ready_before = self.log_text().count('"server ready"')
        command = [
            *self.place.enter,
            *(sys.executable, "-m", "oarlock.cli.main", "serve", "--data-dir", str(self.data_dir)),
            *("--listen-native-urls", f"tcp://{self.native_endpoint}"),
            *("--listen-watch-urls", f"tcp://{self.watch_endpoint}"),
            *("--listen-peer-urls", self.peer_url, "--listen-client-urls", self.client_url),
            *("--listen-metrics-urls", "", "--workers", str(self.workers), "--log-format", "json"),
            *self.arguments,
        ]
        with self.log_path.open("ab") as output:
            env = {**os.environ, **self.extra_env}
            self._process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=env)
        wait_until(lambda: self._is_ready(ready_before), START_TIMEOUT_S, f"server ready; {self.log_path}")
        return self

    def stop(self) -> int:
        """Stops it as systemd would; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """Kills every process of it at once, and waits until they are gone."""
        if self._process is None:
            return
        doomed = self.processes()
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(STOP_TIMEOUT_S)
        wait_until(lambda: all(map(has_ended, doomed)), STOP_TIMEOUT_S, "the end of all processes")

    def kill_part(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a signal to the coordinator or a worker ("coordinator", "worker 1"); returns its process id."""
        process = self.part(name)
        process.send_signal(number)
        return int(process.pid)

    def part(self, name: str) -> psutil.Process:
        """The process that ``ps`` shows as ``oarlock: <name>``; waits until there is one."""
        found: list[psutil.Process] = []

        def look() -> bool:
            found[:] = [each for each in self.processes() if _title(each) == f"oarlock: {name}"]
            return bool(found)

        wait_until(look, START_TIMEOUT_S, f"a process named {name}")
        return found[0]

    @property
    def is_running(self) -> bool:
        """Whether its supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all that it has started."""
        try:
            supervisor = psutil.Process(self.pid)
            return [supervisor, *supervisor.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def log_text(self) -> str:
        """What it has logged so far, of all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def close(self) -> None:
        """Ends it for good."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        for port in self._ports:
            port.release()

    def _is_ready(self, ready_before: int) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the server stopped with {self._process.returncode}:\n{self.log_text()[-3000:]}")
        return self.log_text().count('"server ready"') > ready_before


def has_ended(process: psutil.Process) -> bool:
    """Whether it runs no more, whoever has to take notice of that."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip("\0 ")
    except psutil.Error:
        return ""


@contextlib.contextmanager
def running(directory: Path, *, workers: int = 2, arguments: tuple[str, ...] = ()) -> Iterator[Server]:
    """A server that runs for the length of the context."""
    server = Server(directory, workers=workers, arguments=arguments)
    try:
        yield server.start()
    finally:
        server.close()
