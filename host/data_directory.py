"""The data directory: made, locked, and its run directory cleared, before any process starts."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Final, NamedTuple

from oarlock.host import metrics
from oarlock.storage.disk import DataDirectoryInUseError, RealDisk, RealLock
from oarlock.wire.errors import ConfigurationError

_DYING_S: Final = 5.0
"""How long to wait for the children of a supervisor that was killed: the kernel kills them, but not in no time."""
_RETRY_S: Final = 0.02


class DataDirectory(NamedTuple):
    """A data directory that is ours while ``lock`` is held."""

    path: Path
    lock: RealLock

    @property
    def run(self) -> Path:
        """Sockets and metrics: nothing in it outlives the server."""
        return self.path / "run"

    @property
    def metrics(self) -> Path:
        """The files of ``oarlock.wire.metrics``."""
        return self.run / "metrics"


def claim(path: Path) -> DataDirectory:
    """Makes the directory where needed, locks it against a second server, and empties its run directory.

    Raises:
        ConfigurationError: it cannot be made or written, or (`DataDirectoryInUseError`) another server has it.
    """
    disk = RealDisk()
    try:
        disk.make_directory(path)
        directory = DataDirectory(path, _lock(disk, path))
    except OSError as error:
        raise ConfigurationError(f"data-dir {path} cannot be used: {error.strerror}") from error
    shutil.rmtree(directory.run, ignore_errors=True)
    directory.run.mkdir(mode=0o700, exist_ok=True)
    metrics.prepare(directory.metrics)
    return directory


def _lock(disk: RealDisk, path: Path) -> RealLock:
    """Locks; waits only where the owner is dead already and its children are about to follow it."""
    deadline_s = time.monotonic() + _DYING_S
    while True:
        try:
            return disk.lock(path)
        except DataDirectoryInUseError as error:
            owner_lives = error.process_id is None or _exists(error.process_id)
            if owner_lives or time.monotonic() > deadline_s:
                raise
        time.sleep(_RETRY_S)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
