"""A request on its way, and what may be said of it: whether it may be sent again, and whether its fate is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from oarlock.results import Header
from oarlock.wire.errors import (
    CompactedError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaderChangedError,
    LeaseExistsError,
    LeaseNotFoundError,
    NoLeaderError,
    OarlockError,
    OutcomeUnknownError,
    OverloadedError,
    StoppedError,
    TimeoutError,
    from_wire,
)
from oarlock.wire.operations import MEMBERSHIP, WRITES, Op

MAX_MESSAGE_REQUESTS: Final = 512
"""Requests in a message: the server answers a message as a whole, so that this bounds what one waits for others."""

_RETRIED: Final = (NoLeaderError, OverloadedError, LeaderChangedError, StoppedError)
_LEAVE_DOUBT: Final = (LeaderChangedError, TimeoutError)
"""Of a write these say that the server does not know its fate: it has been proposed, and may yet be applied."""
_UNREPEATABLE: Final = frozenset({int(op) for op in (Op.DEFRAGMENT, *MEMBERSHIP)} - {int(Op.MEMBER_LIST)})
"""What is neither a read nor deduplicated: it is not sent twice."""
_UNCERTAIN: Final = frozenset({int(op) for op in WRITES}) | _UNREPEATABLE
_DECIDED: Final = (
    CompactedError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseExistsError,
    LeaseNotFoundError,
)
"""What only the store says of a write, and says again when the write is sent again: that leaves no doubt."""


class Completion(NamedTuple):
    """A request that is over: the waiter that came with it, and a result or an error."""

    waiter: Any
    result: Any
    error: OarlockError | None


class Pending:
    """A request under way.

    Invariants:
    1. It is in ``Session._pending`` until it is completed, and ``waiter`` is None afterwards.
    2. ``since`` is -1 until it was sent for the first time, and never changes afterwards.
    3. ``sent`` says that it is on the present connection, unanswered.
    """

    __slots__ = ("deadline", "decode", "in_doubt", "refusal", "refusals", "request", "sent", "since", "waiter")

    def __init__(self, request: list[Any], decode: Callable[[Header, Any], Any] | None, waiter: Any, deadline: float):
        self.request = request
        self.decode = decode
        self.waiter = waiter
        self.deadline = deadline
        self.since = -1
        self.sent = False
        self.in_doubt = False
        self.refusal: OarlockError | None = None
        self.refusals = 0

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again though it was sent: it is a read, or servers know it again."""
        return self.request[1] not in _UNREPEATABLE

    def doubt(self) -> OarlockError | None:
        """The error of a write that may have been applied; None if it certainly was not, or is no write."""
        if self.request[1] in _UNCERTAIN and (self.sent or self.in_doubt):
            return OutcomeUnknownError(f"{TimeoutError.text}: the outcome of the write is unknown")
        return None


def is_of_the_moment(error: OarlockError) -> bool:
    """Whether the server may answer otherwise in a moment."""
    return isinstance(error, _RETRIED)


def leaves_doubt(error: OarlockError) -> bool:
    """Whether the server, too, does not know what became of a write."""
    return isinstance(error, _LEAVE_DOUBT)


def is_decided(error: OarlockError) -> bool:
    """Whether only the store can have said this, so that there is no doubt."""
    return isinstance(error, _DECIDED)


def error_of(reply: list[Any]) -> OarlockError:
    """The error of ``[sequence, -code, message, detail]``. Raises ValueError where it is none."""
    _, negative, message, detail = reply
    if type(message) is not str or type(detail) is not int or type(negative) is not int:
        raise ValueError(f"{reply[1:]!r} is no error")
    return from_wire(-negative, message, detail)


def parts(queue: list[Pending]) -> list[list[Pending]]:
    """What is queued, cut into messages."""
    if len(queue) <= MAX_MESSAGE_REQUESTS:
        return [queue] if queue else []
    return [queue[start : start + MAX_MESSAGE_REQUESTS] for start in range(0, len(queue), MAX_MESSAGE_REQUESTS)]
