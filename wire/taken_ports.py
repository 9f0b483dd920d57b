"""Whether somebody listens on an address already: processes that share a port by SO_REUSEPORT are not told."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

from oarlock.wire.errors import ConfigurationError

PROBE_S: Final = 0.5
"""How long a look whether somebody listens may take."""


def refuse_if_taken(url: str) -> None:
    """Connects, and closes at once: two servers on one port would each get half of the other's connections.

    Args:
        url: ``scheme://host:port``.

    Raises:
        ConfigurationError: somebody listens there.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(PROBE_S)
        try:
            refused = probe.connect_ex(("127.0.0.1" if host in ("", "*") else host, parts.port or 0))
        except OSError:  # a host name that is none: whoever listens says so
            return
        if refused == 0:
            raise ConfigurationError(f"{url}: somebody listens there already")
