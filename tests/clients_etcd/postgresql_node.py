"""One Patroni node with a PostgreSQL of its own, which keeps its leadership in the store under test."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from tests.clients_etcd.servers import EtcdServer

PROGRAMS = ("initdb", "pg_basebackup", "pg_ctl", "pg_isready", "pg_rewind", "postgres")
SCOPE = "cluster"
USER = "nobody"
"""Whom the nodes run as where the tests run as root."""
PORTS = range(20_000, 30_000)
"""Below those that Linux gives to whoever asks for any."""
TTL_S = 20
"""Of the leader's lease: the least that Patroni takes."""
RETRY_S = 8
"""How long Patroni tries to reach the store before it steps down: restarts of the store are shorter."""
REQUEST_S = 5
SWITCH_S = 30.0
STOP_S = 30.0


def postgresql_binaries() -> Path | None:
    """Where PostgreSQL's programs are: Debian's newest, or those in PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    places += [Path(binary).resolve().parent for binary in [shutil.which("postgres")] if binary]
    return next((path for path in places if all((path / program).exists() for program in PROGRAMS)), None)


def as_a_user() -> list[str] | None:
    """What to put before a command that must not run as root; None where there is no way.

    Such a command may still reach all files: the Python that runs the tests may be under root's home.
    """
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(USER)
    files = ("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override")
    enter = ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", *files]
    try:
        allowed = subprocess.run([*enter, sys.executable, "-c", ""], capture_output=True, timeout=STOP_S, check=False)
    except FileNotFoundError:
        return None
    return enter if allowed.returncode == 0 else None


def free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody: neither server here would share a reserved one."""
    while True:
        number = random.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", number))
            return number


class PostgresqlNode:
    """A Patroni process, its PostgreSQL, and how to reach them.

    Args:
        name: in the cluster.
        directory: for all its files; the user that it runs as can write there.
        store: where the cluster's leadership is kept.
        binaries: PostgreSQL's.
        enter: what runs a command as a user that PostgreSQL does not refuse.
    """

    def __init__(self, name: str, directory: Path, store: EtcdServer, binaries: Path, enter: list[str]) -> None:
        self.name = name
        self._directory = directory
        self._rest, self._sql = free_port(), free_port()
        self._enter = enter
        self._config = directory / f"{name}.json"
        self._config.write_text(json.dumps(self._settings(store, binaries)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; it initializes a cluster or joins that which is there."""
        command = [*self._enter, sys.executable, "-m", "patroni", str(self._config)]
        with (self._directory / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory)

    def kill(self) -> None:
        """Kills it and its PostgreSQL at once, as a power failure would."""
        if self._process is None:
            return
        doomed = [psutil.Process(self._process.pid)]
        doomed += doomed[0].children(recursive=True)
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
            doomed += [postmaster, *postmaster.children(recursive=True)]
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(STOP_S)
        self._process = None

    def log_text(self) -> str:
        """What Patroni and PostgreSQL have said."""
        return (self._directory / f"{self.name}.log").read_text(errors="replace")

    def answers(self, page: str) -> bool:
        """Whether Patroni's page answers with yes: "primary", "replica"."""
        with contextlib.suppress(OSError), urllib.request.urlopen(self._url(page), timeout=REQUEST_S) as answer:
            return bool(answer.status == 200)
        return False

    def switches_to(self, other: PostgresqlNode) -> bool:
        """Hands the leadership over in good order; whether Patroni did so now."""
        body = json.dumps({"leader": self.name, "candidate": other.name}).encode()
        request = urllib.request.Request(self._url("switchover"), body, {"Content-Type": "application/json"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=SWITCH_S) as answer:
            return bool(answer.status == 200)
        return False

    def execute(self, statement: str) -> list[Any]:
        """Runs one statement; its rows, if it has any.

        Raises:
            psycopg2.Error: it cannot be reached, or refuses.
        """
        connection = psycopg2.connect(
            host="127.0.0.1", port=self._sql, user="postgres", dbname="postgres", connect_timeout=REQUEST_S
        )
        with contextlib.closing(connection):
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def writes(self, number: int) -> bool:
        """Whether it takes a row: a new primary answers as such shortly before its promotion is complete."""
        with contextlib.suppress(psycopg2.Error):
            self.execute(f"INSERT INTO written VALUES ({number}) ON CONFLICT DO NOTHING")
            return True
        return False

    def has_rows(self, expected: list[int]) -> bool:
        """Whether its table holds exactly these."""
        with contextlib.suppress(psycopg2.Error):
            return [row for (row,) in self.execute("SELECT number FROM written ORDER BY number")] == expected
        return False

    @property
    def _data(self) -> Path:
        return self._directory / f"{self.name}-data"

    def _url(self, page: str) -> str:
        return f"http://127.0.0.1:{self._rest}/{page}"

    def _settings(self, store: EtcdServer, binaries: Path) -> dict[str, Any]:
        rest, sql = f"127.0.0.1:{self._rest}", f"127.0.0.1:{self._sql}"
        small = {"max_connections": 20, "shared_buffers": "16MB", "fsync": "off", "wal_keep_size": "64MB"}
        dcs = {"ttl": TTL_S, "loop_wait": 1, "retry_timeout": RETRY_S, "postgresql": {"parameters": small}}
        return {
            "scope": SCOPE,
            "name": self.name,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"host": store.endpoint},
            "bootstrap": {
                "dcs": dcs,
                "initdb": [{"encoding": "UTF8"}, {"username": "postgres"}, "no-sync"],
            },
            "postgresql": {
                "listen": sql,
                "connect_address": sql,
                "data_dir": str(self._data),
                "bin_dir": str(binaries),
                "pgpass": str(self._directory / f"{self.name}.pgpass"),
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
                "parameters": {"unix_socket_directories": str(self._directory)},
                "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
            },
        }
