"""The errors of the log."""

from __future__ import annotations

from oarlock.wire.errors import Code, ConfigurationError, RequestError, ServerError


class LogFailedError(ServerError):
    """A write or sync of the log failed, now or earlier; the log takes nothing any more, and its process must end."""

    code = Code.DATA_LOSS
    text = "oarlock: the log has failed"


class LogMissingError(ConfigurationError):
    """There is no log where one should be."""

    text = "oarlock: there is no log"


class LogExistsError(ConfigurationError):
    """There is a log where a new one should be made."""

    text = "oarlock: there is a log already"


class LogIdentityError(ConfigurationError):
    """The log belongs to another cluster or member than the one that was started."""

    text = "oarlock: the log belongs to another member"


class LogOrderError(RequestError):
    """What should be appended does not continue the log: the caller's mistake, and nothing was written."""

    text = "oarlock: the entries do not continue the log"


class LogCompactedError(RequestError):
    """The entry asked for lies before the log's first; ``detail`` is the log's first index."""

    code = Code.OUT_OF_RANGE
    text = "oarlock: the entry is no longer in the log"


class LogUnavailableError(RequestError):
    """The entry asked for lies after the log's last; ``detail`` is the log's last index."""

    code = Code.OUT_OF_RANGE
    text = "oarlock: the entry is not in the log yet"
