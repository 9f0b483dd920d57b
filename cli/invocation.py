"""One run of the command line: its settings, its streams, the client it makes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oarlock.cli.errors import FlagError
from oarlock.cli.output import printer_class

if TYPE_CHECKING:
    from oarlock import Client
    from oarlock.cli.output.printer import Printer

DEFAULT_ENDPOINT = "127.0.0.1:2378"


@dataclass(slots=True)
class Settings:
    """What the global flags say; each command sees the same ones, wherever on the line they stood."""

    endpoints: tuple[str, ...] = (DEFAULT_ENDPOINT,)
    write_out: str = "simple"
    hex: bool = False
    dial_timeout_s: float = 2.0
    command_timeout_s: float = 5.0
    debug: bool = False


def _connect(*endpoints: str, timeout_s: float, connect_timeout_s: float) -> Client:
    import oarlock

    return oarlock.connect(*endpoints, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)


@dataclass(slots=True)
class Invocation:
    """What commands get as ``ctx.obj``.

    Attributes:
        settings: the global flags.
        connect: makes a client of endpoints, as ``oarlock.connect`` does.
        wait: sleeps for so many seconds.
    """

    settings: Settings = field(default_factory=Settings)
    connect: Callable[..., Client] = _connect
    wait: Callable[[float], None] = time.sleep

    def client(self, *endpoints: str) -> Client:
        """A client of the endpoints given, else of all that the flags name. The caller closes it.

        Raises:
            OarlockError: no endpoint is usable.
        """
        return self.connect(
            *(_address(endpoint) for endpoint in endpoints or self.settings.endpoints),
            timeout_s=self.settings.command_timeout_s,
            connect_timeout_s=self.settings.dial_timeout_s,
        )

    def printer(self, kind: str, *, values_only: bool = False) -> Printer:
        """The printer for a kind of result (the name of a method of Printer).

        Raises:
            BadFeatureError: the chosen format cannot show it.
        """
        chosen = printer_class(self.settings.write_out)
        printer = chosen(write, hex_strings=self.settings.hex, values_only=values_only)
        printer.require(kind)
        return printer


def write(data: bytes) -> None:
    """Writes bytes to standard output as they are, at once: the next one may be a minute away (watch)."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _address(endpoint: str) -> str:
    """``host:port`` of an endpoint, which may be written with a scheme as etcd's are.

    Raises:
        FlagError: the scheme is another than tcp or http.
    """
    scheme, separator, address = endpoint.rpartition("://")
    if separator and scheme not in ("tcp", "http"):
        raise FlagError(f"endpoint {endpoint!r} must be HOST:PORT, tcp://HOST:PORT or http://HOST:PORT")
    return address.rstrip("/")
