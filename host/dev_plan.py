"""The members of a development cluster: their names, ports and settings, decided once and kept beside their data."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

from oarlock.host import config
from oarlock.host.settings import Settings
from oarlock.wire.errors import ConfigurationError

FILE_NAME: Final = "cluster.json"
HOST: Final = "127.0.0.1"
MOST_MEMBERS: Final = 7
"""Each is several processes, and a cluster of more gains nothing: every write waits for more than half of them."""
DEFAULT_BASE_PORT: Final = 2378
PORT_STEP: Final = 10
ETCD_EXAMPLE_PORTS: Final = (2379, 22379, 32379)
"""The client ports of the first members: those of etcd's own example, which its users have in their fingers."""
_LAST_PORT: Final = 65535


class Ports(NamedTuple):
    """Where a member listens; ``metrics`` or ``client`` 0: it serves none."""

    native: int
    watch: int
    peer: int
    metrics: int
    client: int = 0


class MemberPlan(NamedTuple):
    """One member: ``m1``, ``m2``, ..."""

    name: str
    ports: Ports

    @property
    def endpoint(self) -> str:
        """Where our clients reach it."""
        return f"{HOST}:{self.ports.native}"

    @property
    def client_url(self) -> str:
        """Where etcd's clients reach it; empty if nowhere."""
        return f"http://{HOST}:{self.ports.client}" if self.ports.client else ""

    @property
    def peer_url(self) -> str:
        """Where the other members reach it."""
        return f"tcp://{HOST}:{self.ports.peer}"


def at_ports_from(base_port: int, count: int) -> list[MemberPlan]:
    """Members whose native ports are ``base_port``, ``base_port`` + 10, ...: 2378, 2388, 2398.

    The client port is the one after it; with the default base port, it is that of etcd's example where there is one.

    Raises:
        ConfigurationError: the ports are none.
    """
    last = base_port + PORT_STEP * (count - 1) + 3
    if base_port < 2 or last > _LAST_PORT:
        raise ConfigurationError(f"base-port must be 0, or from 2 to {_LAST_PORT - last + base_port}, not {base_port}")
    firsts = range(base_port, base_port + PORT_STEP * count, PORT_STEP)
    clients = [first + 1 for first in firsts]
    if base_port == DEFAULT_BASE_PORT:
        clients = [*ETCD_EXAMPLE_PORTS, *clients[len(ETCD_EXAMPLE_PORTS) :]]
    return [
        MemberPlan(f"m{number}", Ports(first, watch=first - 1, peer=first + 2, metrics=first + 3, client=client))
        for number, (first, client) in enumerate(zip(firsts, clients, strict=False), 1)
    ]


def at_free_ports(count: int) -> list[MemberPlan]:
    """Members on ports that the system gives out; they serve no metrics."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(4 * count)]
        for each in sockets:
            each.bind((HOST, 0))
        ports = [each.getsockname()[1] for each in sockets]
    fours = zip(ports[0::4], ports[1::4], ports[2::4], ports[3::4], strict=True)
    return [
        MemberPlan(f"m{number}", Ports(native, watch, peer, metrics=0, client=client))
        for number, (native, watch, peer, client) in enumerate(fours, 1)
    ]


def load_or_make(directory: Path, count: int, base_port: int) -> list[MemberPlan]:
    """The members as kept in ``directory`` since the first start there, or now decided and kept.

    Args:
        directory: exists; each member has its data in a folder of it.
        count: how many members.
        base_port: native port of the first; 0 for any free ports. Counts only at the first start: the members know
            each other by their ports.

    Raises:
        ConfigurationError: the directory holds another number of members, or something else.
    """
    path = directory / FILE_NAME
    if path.exists():
        members = _load(path)
        if len(members) != count:
            raise ConfigurationError(
                f"{path} is of {len(members)} members, not {count}: say so, or take a new directory"
            )
        return members
    if any(directory.iterdir()):
        raise ConfigurationError(f"{directory} is not empty, and no development cluster: take a new directory")
    members = at_ports_from(base_port, count) if base_port else at_free_ports(count)
    path.write_text(json.dumps([[member.name, *member.ports] for member in members]) + "\n", encoding="ascii")
    return members


def _load(path: Path) -> list[MemberPlan]:
    try:
        members = [MemberPlan(str(name), Ports(*map(int, ports))) for name, *ports in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError) as problem:
        raise ConfigurationError(f"{path} cannot be used: {problem}") from problem
    if not 1 <= len(members) <= MOST_MEMBERS:
        raise ConfigurationError(f"{path} cannot be used: it is of {len(members)} members")
    return members


def settings_of(
    member: MemberPlan, members: Iterable[MemberPlan], directory: Path, *, workers: int, log_level: str
) -> Settings:
    """What a member is started with, each time the same.

    Raises:
        ConfigurationError: a value that cannot be.
    """
    ports = member.ports
    flags = {
        "name": member.name,
        "data-dir": str(directory / member.name),
        "listen-native-urls": f"tcp://{HOST}:{ports.native}",
        "listen-watch-urls": f"tcp://{HOST}:{ports.watch}",
        "listen-client-urls": member.client_url,
        "listen-peer-urls": member.peer_url,
        "listen-metrics-urls": f"http://{HOST}:{ports.metrics}" if ports.metrics else "",
        "initial-cluster": ",".join(f"{each.name}={each.peer_url}" for each in members),
        "initial-cluster-token": "dev-cluster",
        "workers": str(workers),
        "log-level": log_level,
        "log-format": "console",
    }
    return config.load(flags, {})


class Reservation:
    """The ports of a development cluster, ours for as long as it runs, also while a member is down.

    Each is bound with SO_REUSEPORT, as the member itself binds it, and never listened on. The metrics' ports are only
    looked at, since their server binds them for itself.

    Raises:
        ConfigurationError: somebody listens there; names the port.
    """

    def __init__(self, members: Iterable[MemberPlan]) -> None:
        self._sockets: list[socket.socket] = []
        try:
            for member in members:
                for port in filter(None, member.ports):
                    _check_unused(port)
                    if port != member.ports.metrics:
                        self._hold(port)
        except BaseException:
            self.release()
            raise

    def _hold(self, port: int) -> None:
        held = socket.socket()
        self._sockets.append(held)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with suppress(OSError):  # taken since the look: the member will say so
            held.bind((HOST, port))

    def release(self) -> None:
        """Lets others have them."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()


def _check_unused(port: int) -> None:
    # Without SO_REUSEPORT: with it, we would share the port of another server of ours without noticing.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as problem:
            raise ConfigurationError(
                f"port {port} cannot be had ({problem.strerror}): stop who listens there, or give --base-port"
            ) from problem
