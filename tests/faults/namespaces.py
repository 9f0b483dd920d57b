"""A network of hosts on this machine: every member in a network namespace of its own, all on one bridge.

Needs root. The namespaces have no names: open descriptors of this process keep them, and they end with it, and with
them every link and address, whatever happens to the test. Nothing outside of them is touched.

    hub:  bridge br0, 10.77.0.1     where the clients are
            |- h0 <-> eth0 of m0, 10.77.0.10
            |- h1 <-> eth0 of m1, 10.77.0.11
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from oarlock import connection
from tests.server import Place

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
MAX_HOSTS = 32
NOBODY = "02:00:00:00:00:fe"
"""A hardware address that nobody has: what is sent to it is lost, and the sender cannot tell."""


def in_thread(function: Callable[[], T]) -> T:
    """Runs ``function`` in a thread of its own, as namespaces belong to threads, and waits for it."""
    results: list[T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=run, name="in-namespace", daemon=True)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]


def _call(name: str, *arguments: int) -> None:
    """A function of the C library that Python 3.11 lacks."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


class Namespace:
    """A network namespace without a name. Invariant: it is there until ``close``, used or not."""

    def __init__(self) -> None:
        self._fd = in_thread(self._create)
        self.run("ip", "link", "set", "lo", "up")

    @staticmethod
    def _create() -> int:
        _call("unshare", CLONE_NEWNET)
        return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @property
    def path(self) -> str:
        """By which others find it."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @property
    def enter(self) -> tuple[str, ...]:
        """The beginning of a command that runs in it."""
        return ("nsenter", f"--net={self.path}")

    def run(self, *command: str) -> None:
        """Runs a command in it.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")

    def inside(self, function: Callable[[], T]) -> T:
        """Runs ``function`` in a thread in it. Clients that are made there connect from there."""

        def entered() -> T:
            _call("setns", self._fd, CLONE_NEWNET)
            return function()

        kept, connection._context = connection._context, None  # its I/O threads are where they were started
        try:
            return in_thread(entered)
        finally:
            connection._context = kept

    def close(self) -> None:
        """Lets it go."""
        os.close(self._fd)


class HostNetwork:
    """The hub and its hosts.

    Args:
        hosts: how many.
    """

    def __init__(self, hosts: int) -> None:
        if not 0 < hosts <= MAX_HOSTS:
            raise ValueError(f"hosts must be 1 to {MAX_HOSTS}, not {hosts}")
        self.hub = Namespace()
        self.hosts: list[Namespace] = []
        try:
            self._build(hosts)
        except BaseException:
            self.close()
            raise

    def _build(self, hosts: int) -> None:
        self.hub.run("ip", "link", "add", "br0", "type", "bridge")
        self.hub.run("ip", "address", "add", "10.77.0.1/24", "dev", "br0")
        self.hub.run("ip", "link", "set", "br0", "up")
        for number in range(hosts):
            self._add(number)

    def _add(self, number: int) -> None:
        host = Namespace()
        self.hosts.append(host)
        hub_end = f"h{number}"
        self.hub.run("ip", "link", "add", hub_end, "type", "veth", "peer", "name", "eth0", "netns", host.path)
        self.hub.run("ip", "link", "set", hub_end, "master", "br0", "up")
        host.run("ip", "address", "add", f"{self.address(number)}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")

    @staticmethod
    def address(number: int) -> str:
        """Of a host."""
        return f"10.77.0.{10 + number}"

    def place(self, number: int) -> Place:
        """Where the member of a number runs."""
        return Place(self.address(number), self.hosts[number].enter)

    def cut(self, sender: int, receiver: int) -> None:
        """Loses every packet from one host to another; the other direction stays."""
        neighbour = (self.address(receiver), "dev", "eth0")
        self.hosts[sender].run("ip", "neighbour", "replace", *neighbour, "lladdr", NOBODY, "nud", "permanent")

    def mend(self, sender: int, receiver: int) -> None:
        """Undoes ``cut``."""
        self.hosts[sender].run("ip", "neighbour", "delete", self.address(receiver), "dev", "eth0")

    def plug(self, number: int, is_in: bool) -> None:
        """Plugs the cable of a host in, or out: then nobody reaches it, clients neither."""
        self.hub.run("ip", "link", "set", f"h{number}", "up" if is_in else "down")

    def impair(self, number: int, delay_ms: float, loss: float) -> None:
        """Delays what a host sends, and loses a part (0 to 1) of its packets; nothing and none end that.

        Raises:
            RuntimeError: the kernel has no netem; see ``can_impair``.
        """
        self.hosts[number].run(*_netem(delay_ms, loss))

    def close(self) -> None:
        """Ends it all; what still runs in it has no network any more, once it ends."""
        for namespace in (*self.hosts, self.hub):
            namespace.close()


def _netem(delay_ms: float, loss: float) -> tuple[str, ...]:
    if not delay_ms and not loss:
        return ("tc", "qdisc", "delete", "dev", "eth0", "root")
    netem = ("netem", "delay", f"{delay_ms}ms", "loss", f"{loss * 100}%")
    return ("tc", "qdisc", "replace", "dev", "eth0", "root", *netem)


@functools.cache
def available() -> bool:
    """Whether this machine lets us make such a network."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    return _works(lambda network: None)


@functools.cache
def can_impair() -> bool:
    """Whether the kernel delays and loses packets for us."""
    return available() and _works(lambda network: network.impair(0, 1.0, 0.0))


def _works(attempt: Callable[[HostNetwork], object]) -> bool:
    try:
        with contextlib.closing(HostNetwork(1)) as network:
            attempt(network)
    except (OSError, RuntimeError):
        return False
    return True
