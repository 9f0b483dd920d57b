"""All metrics of a server as text: the sum of what its processes wrote into the files of ``oarlock.wire.metrics``."""

from __future__ import annotations

from pathlib import Path


def exposition(directory: Path) -> tuple[bytes, str]:
    """Prometheus' text, and its content type.

    prometheus-client is imported when first needed: it costs 4 MB, and a server that nobody scrapes need not pay.

    Args:
        directory: of the files.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
