"""What the pages of the client port tell of a worker."""

from __future__ import annotations

import os
from pathlib import Path

from oarlock.gateway.health_pages import Health
from oarlock.wire import process
from oarlock.wire.exposition import exposition
from oarlock.wire.operations import Alarm
from oarlock.workers.etcd_backend import EtcdBackend
from oarlock.workers.replica_keeper import ReplicaKeeper


class HttpFacts:
    """The facts, as ``oarlock.gateway.http_pages.Pages`` wants them.

    Args:
        backend: knows the leader.
        keeper: knows the alarms.
    """

    def __init__(self, backend: EtcdBackend, keeper: ReplicaKeeper) -> None:
        self._backend = backend
        self._keeper = keeper

    def health(self) -> Health:
        """Of this worker, which is ready, since it was asked, and of its member."""
        alarms = {Alarm(kind).name for _, kind in self._keeper.alarms}
        return Health(1, 1, self._backend.has_leader, alarms, self._backend.is_learner)

    def metrics(self) -> tuple[bytes, str]:
        """Of the whole member: the sum over its processes. Without a supervisor there are none."""
        directory = os.environ.get(process.METRICS_DIRECTORY)
        return exposition(Path(directory)) if directory else (b"", "text/plain")
