"""Questions of workers that only the leader answers: kept until it has, whoever that is meanwhile. No I/O.

A keepalive that comes while there is no leader waits for one; one whose leader goes away is put to the next. So a
leader change costs time and no error. Whoever asked has a deadline of its own; what is older than any is dropped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from oarlock.wire.errors import OverloadedError
from oarlock.wire.internal import Internal

MAX_WAITING: Final = 4096
"""Questions under way. A worker collects all keepalives of a turn in one question, so this is hundreds of turns."""
ASK_AGAIN_S: Final = 1.0
"""A question or its answer may get lost between members: it is put again after this."""
FORGET_S: Final = 15.0
"""Nobody waits so long: workers give up at their clients' deadlines."""
REPEATABLE: Final = frozenset({Internal.KEEPALIVE, Internal.TIME_TO_LIVE})
"""Asking these twice does no harm. Others are put to one leader once, and fail with it."""


@dataclass(slots=True)
class Question:
    """One question under way.

    Attributes:
        worker: who asked.
        message: as the worker sent it, ``[kind, number, ...]``.
        asked_s: when it was first asked.
        sent_s: when it was last put to a leader; None while it never was.
        unanswered: leases of a keepalive still to be answered, for it may be answered in parts.
    """

    worker: bytes
    message: list[Any]
    asked_s: float
    sent_s: float | None
    unanswered: set[int]


class Forwarding:
    """The questions under way, by token.

    Invariants:
    1. At most ``MAX_WAITING`` of them; a token is never used twice.
    2. A question leaves when it is answered in full, has failed, or is older than ``FORGET_S``.
    """

    def __init__(self) -> None:
        self._questions: dict[int, Question] = {}
        self._token = 0

    def __len__(self) -> int:
        return len(self._questions)

    def add(self, worker: bytes, message: Sequence[Any], now_s: float) -> int:
        """Takes a question; returns its token.

        Raises:
            OverloadedError: too many are under way.
        """
        if len(self._questions) >= MAX_WAITING:
            raise OverloadedError
        self._token += 1
        leases = set(message[2]) if message[0] == Internal.KEEPALIVE else set()
        self._questions[self._token] = Question(worker, list(message), now_s, None, leases)
        return self._token

    def to_send(self, now_s: float) -> Iterator[tuple[int, list[Any]]]:
        """The questions to put to the leader now, as (token, ``[kind, token, ...]``)."""
        for token, question in self._questions.items():
            if question.sent_s is None or (
                now_s - question.sent_s >= ASK_AGAIN_S and question.message[0] in REPEATABLE
            ):
                question.sent_s = now_s
                yield token, [question.message[0], token, *question.message[2:]]

    def answered(self, answer: Sequence[Any]) -> tuple[bytes, list[Any]] | None:
        """The leader's answer ``[kind, token, ...]``; returns (worker, answer for it), None for one not waited for."""
        kind, token, *rest = answer
        question = self._questions.get(token)
        if question is None or question.message[0] != kind or not rest:
            return None
        if kind == Internal.KEEPALIVE and isinstance(rest[0], list):
            question.unanswered -= {each[0] for each in rest[0]}
        else:
            question.unanswered.clear()
        if not question.unanswered:
            del self._questions[token]
        return question.worker, [kind, question.message[1], *rest]

    def take_all(self) -> list[Question]:
        """Takes out everything: we lead, and answer ourselves."""
        found = list(self._questions.values())
        self._questions.clear()
        return found

    def leader_changed(self) -> list[Question]:
        """Another member leads: everything repeatable is put to it; returns the rest, which have failed."""
        failed = []
        for token, question in list(self._questions.items()):
            if question.sent_s is not None:
                if question.message[0] in REPEATABLE:
                    question.sent_s = None
                else:
                    failed.append(self._questions.pop(token))
        return failed

    def forget_old(self, now_s: float) -> None:
        """Drops what nobody waits for any more."""
        for token, question in list(self._questions.items()):
            if now_s - question.asked_s < FORGET_S:
                return  # in the order of asking
            del self._questions[token]

    def forget_worker(self, worker: bytes) -> None:
        """Drops the questions of a worker that is gone."""
        for token, question in list(self._questions.items()):
            if question.worker == worker:
                del self._questions[token]
