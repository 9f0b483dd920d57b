"""What can be wrong with what a peer sends, and the one error of this package.

A fault is raised while a frame is looked at and caught in one place, `Connection.receive`, which turns it into frames
and events. So a peer can never make a public method raise.
"""

from __future__ import annotations

from oarlock.gateway.http2.frames import ErrorCode
from oarlock.wire.errors import Code, ServerError


class MisuseError(ServerError):
    """The caller of this package broke its rules, such as data before headers: a bug on our side, never a peer's."""

    code = Code.INTERNAL
    text = "oarlock: the HTTP/2 connection was used wrongly"


class Fault(Exception):  # noqa: N818  # a fault of a peer is an input, and no error of ours
    """A peer broke a rule; never leaves this package.

    Args:
        code: the error code that the peer is told.
        reason: one line that names the value and the rule, for the log and the peer.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConnectionFault(Fault):
    """The connection cannot go on: GOAWAY, then close (RFC 9113 section 5.4.1)."""


class StreamFault(Fault):
    """One stream cannot go on: RST_STREAM; the others are not touched (RFC 9113 section 5.4.2)."""
