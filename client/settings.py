"""What a client is told once: endpoints, time-outs, its name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Final, NamedTuple

from oarlock.arguments import ArgumentError, check_timeout

DEFAULT_ENDPOINT: Final = "127.0.0.1:2378"
MAX_ENDPOINTS: Final = 64
"""More than any cluster has members; a longer list is a mistake."""


class Settings(NamedTuple):
    """Settings of a client, checked.

    Attributes:
        endpoints: "host:port", at least one.
        timeout_s: how long a request may take where it does not say otherwise.
        connect_timeout_s: how long an endpoint has to greet.
        name: how the client calls itself.
    """

    endpoints: tuple[str, ...]
    timeout_s: float
    connect_timeout_s: float
    name: str


def make_settings(
    endpoints: Iterable[str | Iterable[str]], timeout_s: float, connect_timeout_s: float, name: str | None
) -> Settings:
    """Settings from the arguments of ``connect``.

    Raises:
        ArgumentError, TypeError: they cannot be.
    """
    flat: list[str] = []
    for item in endpoints:
        flat.extend([item] if isinstance(item, str) or not isinstance(item, Iterable) else item)
    if len(flat) > MAX_ENDPOINTS:
        raise ArgumentError(f"endpoints must be {MAX_ENDPOINTS} at most, not {len(flat)}")
    return Settings(
        tuple(check_endpoint(endpoint) for endpoint in flat) or (DEFAULT_ENDPOINT,),
        check_timeout("timeout_s", timeout_s),
        check_timeout("connect_timeout_s", connect_timeout_s),
        name if name is not None else f"{os.path.basename(sys.argv[0] or 'python')}[{os.getpid()}]",
    )


def check_endpoint(endpoint: str) -> str:
    """``endpoint`` as "host:port"; a leading "tcp://" is taken off.

    Raises:
        TypeError: it is not a str.
        ArgumentError: it is not of this form.
    """
    if not isinstance(endpoint, str):
        raise TypeError(f"endpoint must be a str, not {type(endpoint).__name__}")
    host, colon, port = endpoint.removeprefix("tcp://").rpartition(":")
    if not (host and colon and port.isdecimal() and port.isascii() and 0 < int(port) < 65536):
        raise ArgumentError(f'endpoint must be "host:port" with a port from 1 to 65535, not {endpoint!r}')
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ArgumentError(f'endpoint must have an IPv6 address in brackets ("[::1]:2378"), not {endpoint!r}')
    return f"{host}:{port}"


def watch_address(advertised: str, endpoint: str) -> str:
    """Where to connect for watches: ``advertised`` by the greeting that ``endpoint`` gave.

    >>> watch_address("tcp://*:2377", "db1:2378"), watch_address("tcp://db2:2377", "db1:2378")
    ('tcp://db1:2377', 'tcp://db2:2377')
    """
    host, _, port = advertised.removeprefix("tcp://").rpartition(":")
    if host in ("*", "0.0.0.0", "[::]"):
        host = endpoint.rpartition(":")[0]
    return f"tcp://{host}:{port}"
