"""The write-ahead log of a member: segment files, recovery, and the entries that are in memory."""

from oarlock.storage.log.errors import (
    LogCompactedError,
    LogExistsError,
    LogFailedError,
    LogIdentityError,
    LogMissingError,
    LogOrderError,
    LogUnavailableError,
)
from oarlock.storage.log.layout import HardState, Identity, Position
from oarlock.storage.log.log import Log, LogOptions
from oarlock.storage.log.recovery import has_log
from oarlock.storage.log.scan import TornTail

__all__ = [
    "HardState",
    "Identity",
    "Log",
    "LogCompactedError",
    "LogExistsError",
    "LogFailedError",
    "LogIdentityError",
    "LogMissingError",
    "LogOptions",
    "LogOrderError",
    "LogUnavailableError",
    "Position",
    "TornTail",
    "has_log",
]
