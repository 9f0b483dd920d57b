"""The life of a stream as a table (RFC 9113 section 5.1): what may happen in a state, and which state follows.

What is not in the table is the error that `MISSES` names for the state. Not in the table either, since they are allowed
in every state and change none: PRIORITY, and what arrives for a stream that we reset a moment ago (`Connection` knows).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from oarlock.gateway.http2.faults import ConnectionFault, Fault, StreamFault
from oarlock.gateway.http2.frames import ErrorCode


class State(IntEnum):
    """Where a stream is in its life. "Remote" and "local" say whose half is closed; reserved states need push, which
    we never do."""

    IDLE = 0
    OPEN = 1
    HALF_CLOSED_REMOTE = 2
    HALF_CLOSED_LOCAL = 3
    CLOSED = 4


class Input(IntEnum):
    """What can happen to a stream. ``…_END`` is the END_STREAM flag, judged after the frame that carries it."""

    RECEIVE_HEADERS = 0
    RECEIVE_DATA = 1
    RECEIVE_END = 2
    RECEIVE_RESET = 3
    RECEIVE_WINDOW_UPDATE = 4
    SEND_HEADERS = 5
    SEND_DATA = 6
    SEND_END = 7
    SEND_RESET = 8


TRANSITIONS: Final[dict[State, dict[Input, State]]] = {
    State.IDLE: {
        Input.RECEIVE_HEADERS: State.OPEN,
    },
    State.OPEN: {
        Input.RECEIVE_HEADERS: State.OPEN,
        Input.RECEIVE_DATA: State.OPEN,
        Input.RECEIVE_END: State.HALF_CLOSED_REMOTE,
        Input.RECEIVE_RESET: State.CLOSED,
        Input.RECEIVE_WINDOW_UPDATE: State.OPEN,
        Input.SEND_HEADERS: State.OPEN,
        Input.SEND_DATA: State.OPEN,
        Input.SEND_END: State.HALF_CLOSED_LOCAL,
        Input.SEND_RESET: State.CLOSED,
    },
    State.HALF_CLOSED_REMOTE: {
        Input.RECEIVE_RESET: State.CLOSED,
        Input.RECEIVE_WINDOW_UPDATE: State.HALF_CLOSED_REMOTE,
        Input.SEND_HEADERS: State.HALF_CLOSED_REMOTE,
        Input.SEND_DATA: State.HALF_CLOSED_REMOTE,
        Input.SEND_END: State.CLOSED,
        Input.SEND_RESET: State.CLOSED,
    },
    State.HALF_CLOSED_LOCAL: {
        Input.RECEIVE_HEADERS: State.HALF_CLOSED_LOCAL,
        Input.RECEIVE_DATA: State.HALF_CLOSED_LOCAL,
        Input.RECEIVE_END: State.CLOSED,
        Input.RECEIVE_RESET: State.CLOSED,
        Input.RECEIVE_WINDOW_UPDATE: State.HALF_CLOSED_LOCAL,
        Input.SEND_RESET: State.CLOSED,
    },
    State.CLOSED: {
        # The peer may have sent these before it saw that we closed the stream.
        Input.RECEIVE_RESET: State.CLOSED,
        Input.RECEIVE_WINDOW_UPDATE: State.CLOSED,
    },
}

MISSES: Final[dict[State, tuple[type[Fault], ErrorCode]]] = {
    State.IDLE: (ConnectionFault, ErrorCode.PROTOCOL_ERROR),
    State.OPEN: (ConnectionFault, ErrorCode.PROTOCOL_ERROR),
    State.HALF_CLOSED_REMOTE: (StreamFault, ErrorCode.STREAM_CLOSED),
    State.HALF_CLOSED_LOCAL: (ConnectionFault, ErrorCode.PROTOCOL_ERROR),
    State.CLOSED: (ConnectionFault, ErrorCode.STREAM_CLOSED),
}
"""Who is at fault for an input that its state does not know: the stream alone, or the whole connection."""


def follow(state: State, happened: Input) -> State:
    """The state after ``happened``.

    Raises:
        Fault: the table has no such entry; a `StreamFault` or `ConnectionFault` as `MISSES` says.
    """
    following = TRANSITIONS[state].get(happened)
    if following is None:
        fault, code = MISSES[state]
        raise fault(code, f"{happened.name.lower()} on a stream that is {state.name.lower()}")
    return following
