"""What the supervisor tells systemd: the datagrams of sd_notify(3), and its watchdog, sd_watchdog_enabled(3)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends state to the service manager, or to nobody where there is none.

    Args:
        address: path of the manager's datagram socket, ``@name`` for an abstract one; None for no manager.
        watchdog_interval_s: how often the manager wants to hear `alive`; None for never.
    """

    def __init__(self, address: str | None, watchdog_interval_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_interval_s = watchdog_interval_s
        self._status = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        """The manager that ``NOTIFY_SOCKET`` names, with the watchdog of ``WATCHDOG_USEC`` if it is meant for us.

        A ping is due at half the manager's limit, as sd_watchdog_enabled(3) advises.
        """
        microseconds = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval_s = int(microseconds) / 2e6 if for_us and microseconds.isdecimal() and int(microseconds) else None
        return cls(environment.get("NOTIFY_SOCKET") or None, interval_s)

    def ready(self) -> None:
        """The server serves."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The server is on its way down."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The server is well; not to be sent while it is not."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; sent when it differs from the last."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that is not there, or does not read, is no reason to stop serving.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(), self._address)
