"""The errors of Oarlock: one root, and a branch that says whose fault it is.

Every error carries a gRPC status code and, where etcd has one, etcd's exact text, because etcd's clients recognise
errors by their text. An error travels the native wire as ``(code, message, detail)`` and becomes the same class again.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Code(IntEnum):
    """gRPC status codes (grpc/status), the vocabulary of etcd's errors."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class OarlockError(Exception):
    """The root of every error that Oarlock raises.

    Attributes:
        code: gRPC status code.
        message: one line for a person, etcd's text where etcd has one.
        detail: a number that belongs to the error (the compacted revision, a pause in ms before a retry), else 0.
    """

    code: ClassVar[Code] = Code.UNKNOWN
    text: ClassVar[str] = "etcdserver: unknown error"

    def __init__(self, message: str | None = None, *, detail: int = 0) -> None:
        self.message = message if message is not None else self.text
        self.detail = detail
        super().__init__(self.message)


class RequestError(OarlockError):
    """The caller's fault: the request as it stands can never succeed, or not in the present state of the store."""

    code = Code.INVALID_ARGUMENT
    text = "etcdserver: invalid request"


class ServerError(OarlockError):
    """The server's fault, or its circumstances': the same request may succeed later or elsewhere."""

    code = Code.UNAVAILABLE
    text = "etcdserver: server stopped"


class DamageError(OarlockError):
    """Stored bytes are not what was written. Carries the file and the offset.

    Args:
        path: the damaged file.
        offset: where in the file the damage begins, in bytes.
        problem: what is wrong there.
    """

    code = Code.DATA_LOSS
    text = "etcdserver: corrupt cluster"

    def __init__(self, path: object, offset: int, problem: str) -> None:
        super().__init__(f"{path}: damaged at byte {offset}: {problem}")
        self.path = str(path)
        self.offset = offset


class EmptyKeyError(RequestError):
    text = "etcdserver: key is not provided"


class KeyNotFoundError(RequestError):
    text = "etcdserver: key not found"


class ValueProvidedError(RequestError):
    text = "etcdserver: value is provided"


class LeaseProvidedError(RequestError):
    text = "etcdserver: lease is provided"


class TooManyOperationsError(RequestError):
    text = "etcdserver: too many operations in txn request"


class DuplicateKeyError(RequestError):
    text = "etcdserver: duplicate key given in txn request"


class InvalidSortError(RequestError):
    text = "etcdserver: invalid sort option"


class RequestTooLargeError(RequestError):
    text = "etcdserver: request is too large"


class ResultTooLargeError(RequestError):
    """What was asked for does not fit in an answer."""

    code = Code.RESOURCE_EXHAUSTED
    text = "oarlock: result is too large: ask for less at a time"


class WatcherRangeEmptyError(RequestError):
    text = "mvcc: watcher range is empty"


class CompactedError(RequestError):
    """The revision asked for is older than the compaction; ``detail`` is the compacted revision."""

    code = Code.OUT_OF_RANGE
    text = "etcdserver: mvcc: required revision has been compacted"

    @property
    def compact_revision(self) -> int:
        """The oldest revision that can still be read."""
        return self.detail


class FutureRevisionError(RequestError):
    code = Code.OUT_OF_RANGE
    text = "etcdserver: mvcc: required revision is a future revision"


class LeaseNotFoundError(RequestError):
    code = Code.NOT_FOUND
    text = "etcdserver: requested lease not found"


class LeaseExistsError(RequestError):
    code = Code.FAILED_PRECONDITION
    text = "etcdserver: lease already exists"


class LeaseTtlTooLargeError(RequestError):
    code = Code.OUT_OF_RANGE
    text = "etcdserver: too large lease TTL"


class NoSpaceError(RequestError):
    code = Code.RESOURCE_EXHAUSTED
    text = "etcdserver: mvcc: database space exceeded"


class BadPeerUrlsError(RequestError):
    text = "etcdserver: given member URLs are invalid"


class PeerUrlExistsError(RequestError):
    code = Code.FAILED_PRECONDITION
    text = "etcdserver: Peer URLs already exists"


class MemberExistsError(RequestError):
    code = Code.FAILED_PRECONDITION
    text = "etcdserver: member ID already exist"


class MemberNotFoundError(RequestError):
    code = Code.NOT_FOUND
    text = "etcdserver: member not found"


class MemberNotLearnerError(RequestError):
    code = Code.FAILED_PRECONDITION
    text = "etcdserver: can only promote a learner member"


class LearnerRefusesError(RequestError):
    """A learner serves only its status, the list of members, and serializable ranges: ask a voter."""

    code = Code.FAILED_PRECONDITION
    text = "etcdserver: rpc not supported for learner"


class LearnerNotReadyError(RequestError):
    """The learner has not caught up with the leader yet: promote it later."""

    code = Code.FAILED_PRECONDITION
    text = "etcdserver: can only promote a learner member which is in sync with leader"


class TooManyLearnersError(RequestError):
    code = Code.FAILED_PRECONDITION
    text = "etcdserver: too many learner members in cluster"


class NotEnoughStartedMembersError(RequestError):
    """The change would leave fewer live voters than the new quorum needs."""

    code = Code.FAILED_PRECONDITION
    text = "etcdserver: re-configuration failed due to not enough started members"


class BadTransfereeError(RequestError):
    """Leadership cannot go to this member: there is none of that id, or it does not vote."""

    code = Code.FAILED_PRECONDITION
    text = "etcdserver: bad leader transferee"


class ProtocolError(RequestError):
    """The message is not of the protocol: not msgpack, not of the right shape or types, an unknown operation."""

    text = "oarlock: malformed request"


class UnsupportedError(RequestError):
    """The operation is of the protocol, but this server has no such thing."""

    code = Code.UNIMPLEMENTED
    text = "oarlock: operation is not supported"


class InternalError(ServerError):
    """A mistake in Oarlock itself; the server's log has the details."""

    code = Code.INTERNAL
    text = "oarlock: internal error"


class TimeoutError(ServerError):
    """The server did not finish the request within its time-out: it says so itself, or the client heard nothing."""

    text = "etcdserver: request timed out"


class OutcomeUnknownError(TimeoutError):
    """The write may or may not have happened, and it is too late to find out. Never retried by itself."""

    code = Code.UNKNOWN
    text = "oarlock: the outcome of the write is unknown"


class DeadlineExceededError(TimeoutError):
    """A status of this code with a text that is not ours; what ends in time here is a plain TimeoutError."""

    code = Code.DEADLINE_EXCEEDED
    text = "context deadline exceeded"


class NoLeaderError(ServerError):
    text = "etcdserver: no leader"


class LeaderChangedError(ServerError):
    text = "etcdserver: leader changed"


class NotLeaderError(RequestError):
    code = Code.FAILED_PRECONDITION
    text = "etcdserver: not leader"


class UnhealthyClusterError(ServerError):
    """Too few members are reachable, or have been for too short a time, for a change of the membership."""

    text = "etcdserver: unhealthy cluster"


class StoppedError(ServerError):
    text = "etcdserver: server stopped"


class OverloadedError(ServerError):
    """The server has as much to do as it takes on; ``detail`` is a pause in ms before a retry."""

    code = Code.RESOURCE_EXHAUSTED
    text = "etcdserver: too many requests"


class CorruptError(ServerError):
    code = Code.DATA_LOSS
    text = "etcdserver: corrupt cluster"


class ConnectionFailedError(ServerError):
    """No endpoint could be reached within the time-out."""

    text = "oarlock: no endpoint could be reached"


class ClosedError(OarlockError):
    """The client (or watch, or lease) was closed by its owner while the request was under way."""

    code = Code.CANCELED
    text = "oarlock: client is closed"


class ConfigurationError(OarlockError):
    """A setting that cannot be: the message names the setting, its value, and the rule."""

    code = Code.INVALID_ARGUMENT
    text = "oarlock: invalid configuration"


def _subclasses(cls: type[OarlockError]) -> list[type[OarlockError]]:
    found = [cls]
    for child in cls.__subclasses__():
        found.extend(_subclasses(child))
    return found


# The last class of a text wins, so that the leaves go before the branches that they refine.
_BY_TEXT: dict[str, type[OarlockError]] = {cls.text: cls for cls in _subclasses(OarlockError) if cls is not DamageError}
_BRANCH_BY_CODE: dict[int, type[OarlockError]] = {
    Code.UNAVAILABLE: ServerError,
    Code.INTERNAL: ServerError,
    Code.DATA_LOSS: ServerError,
    Code.DEADLINE_EXCEEDED: DeadlineExceededError,
}


def from_wire(code: int, message: str, detail: int = 0) -> OarlockError:
    """Rebuilds the error that travelled as ``(code, message, detail)``.

    Args:
        code: gRPC status code.
        message: the text; a text that extends a known one after ``": "`` keeps the known one's class.
        detail: the number that belongs to the error.

    Returns:
        An error of the class that has this text, else of the branch that the code belongs to.
    """
    known = _BY_TEXT.get(message)
    if known is None:
        known = next((cls for text, cls in _BY_TEXT.items() if message.startswith(text + ": ")), None)
    if known is not None:
        return known(message, detail=detail)
    error = _BRANCH_BY_CODE.get(code, RequestError)(message, detail=detail)
    if code != error.code and code in Code._value2member_map_:
        error.code = Code(code)  # type: ignore[misc]
    return error
