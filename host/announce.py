"""Saying that the server is ready: to a person what to try, to a log collector one line."""

from __future__ import annotations

import sys
from typing import Final, TextIO
from urllib.parse import urlsplit

from oarlock.host.settings import Settings
from oarlock.wire.logs import get_logger
from oarlock.wire.version import VERSION

log = get_logger(__name__)

_CLIENT_DEFAULT: Final = "127.0.0.1:2378"
_ETCD_DEFAULT: Final = "127.0.0.1:2379"


def ready(settings: Settings, stream: TextIO | None = None) -> None:
    """Announces readiness on ``stream`` (standard output) if that is a terminal, and in the log otherwise.

    With the log format ``etcd``, it does so in etcd's words, for which tools that start an etcd wait.
    """
    if settings.log_format == "etcd":
        advertised = settings.advertise_client_urls or settings.listen_client_urls
        log.info("ready to serve client requests", name=settings.name, advertise_client_urls=list(advertised))
        return
    target = stream if stream is not None else sys.stdout
    if target.isatty():
        print(_message(settings), file=target, flush=True)
        return
    log.info(
        "server ready",
        name=settings.name,
        version=VERSION,
        native_urls=list(settings.listen_native_urls),
        client_urls=list(settings.listen_client_urls),
        workers=settings.workers,
        data_dir=settings.data_dir,
    )


def _message(settings: Settings) -> str:
    endpoint = local_endpoint((*settings.listen_native_urls, *settings.listen_client_urls)[0])
    program, default = ("oarlock", _CLIENT_DEFAULT) if settings.listen_native_urls else ("etcdctl", _ETCD_DEFAULT)
    flags = "" if endpoint == default else f" --endpoints {endpoint}"
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    return (
        f"\nOarlock {VERSION} is ready: {settings.name} on {endpoint}, {workers}, data in {settings.data_dir}\n"
        f"Try it in another terminal:  {program}{flags} put greeting hello\n"
        "Stop it with Ctrl-C.\n"
    )


def local_endpoint(url: str) -> str:
    """Where a client on this host connects: an address that means all interfaces is no place to connect to."""
    parts = urlsplit(url)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname or "")
    return f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"
