"""Questions that only the coordinator can answer: keepalives, times to live, its part of a status, membership."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from oarlock.wire.errors import LeaderChangedError, OverloadedError, TimeoutError, from_wire
from oarlock.wire.frames import pack_error
from oarlock.wire.internal import Internal
from oarlock.workers.reads import Caller

MAX_WAITING: Final = 100_000
"""Questions under way in one worker; a keepalive costs some 300 bytes while it waits."""


class AskingLink(Protocol):
    """Where questions go: ``CoordinatorLink``, as far as it matters here."""

    def keep_alive(self, number: int, lease_ids: Sequence[int]) -> None:
        """Renews leases."""

    def time_to_live(self, number: int, lease_ids: Sequence[int]) -> None:
        """Asks how long leases have left."""

    def ask_status(self, number: int) -> None:
        """Asks for the coordinator's status."""

    def ask_members(self, number: int, action: str, arguments: Sequence[Any]) -> None:
        """Asks for a membership action."""


class _Waiting(NamedTuple):
    caller: Caller
    sequence: int
    deadline_s: float
    finish: Callable[[Sequence[int]], Any]


class _Single(NamedTuple):
    caller: Caller
    sequence: int
    deadline_s: float
    finish: Callable[[Any], Any]


class Questions:
    """Asks for many leases in one message, for everything else one by one, and gives each caller its own answer.

    Args:
        link: to the coordinator.
    """

    def __init__(self, link: AskingLink) -> None:
        self._link = link
        self._number = 0
        self._keep_alives: dict[int, list[_Waiting]] = {}
        self._times: dict[int, list[_Waiting]] = {}
        self._singles: dict[int, _Single] = {}
        self._asked: dict[int, dict[int, list[_Waiting]]] = {}
        self._count = 0

    def keep_alive(self, caller: Caller, sequence: int, lease_id: int, deadline_s: float, revision: int) -> None:
        """Renews a lease for ``caller``; it is asked with the next ``flush``.

        The revision of the answer is that from before the renewal (etcd, LeaseKeepAlive).
        """

        def finish(answer: Sequence[int]) -> Any:
            return [sequence, revision, answer[1]]

        self._wait(self._keep_alives, lease_id, _Waiting(caller, sequence, deadline_s, finish))

    def time_to_live(
        self, caller: Caller, sequence: int, lease_id: int, deadline_s: float, finish: Callable[[Sequence[int]], Any]
    ) -> None:
        """Asks how long a lease has left; ``finish`` makes the reply item of (lease, seconds left, granted)."""
        self._wait(self._times, lease_id, _Waiting(caller, sequence, deadline_s, finish))

    def status(self, caller: Caller, sequence: int, deadline_s: float, finish: Callable[[dict[str, Any]], Any]) -> None:
        """Asks for the coordinator's status at once; ``finish`` makes the reply item of it."""
        self._link.ask_status(self._ask(_Single(caller, sequence, deadline_s, finish)))

    def members(self, caller: Caller, sequence: int, deadline_s: float, action: str, arguments: list[Any]) -> None:
        """Asks for a membership action at once. The revision of the answer is 0 (etcd likewise)."""
        number = self._ask(_Single(caller, sequence, deadline_s, lambda result: [sequence, 0, result]))
        self._link.ask_members(number, action, arguments)

    def flush(self) -> None:
        """Sends what was asked since the last time."""
        if not self._keep_alives and not self._times:
            return
        for waiting, ask in ((self._keep_alives, self._link.keep_alive), (self._times, self._link.time_to_live)):
            if waiting:
                self._number += 1
                self._asked[self._number] = dict(waiting)
                ask(self._number, list(waiting))
                waiting.clear()

    def answered(self, message: list[Any]) -> None:
        """Takes the coordinator's answer to any of these questions; an answer may cover only some of the leases."""
        kind, number, *rest = message
        if kind in (Internal.STATUS, Internal.MEMBERS):
            self._single_answered(number, rest)
            return
        asked = self._asked.get(number)
        if asked is None:
            return
        if isinstance(rest[0], int):
            problem = from_wire(-rest[0], rest[1])
            for waiting in [waiting for group in asked.values() for waiting in group]:
                waiting.caller.answer(pack_error(waiting.sequence, problem))
                self._count -= 1
            del self._asked[number]
            return
        for answer in rest[0]:
            for waiting in asked.pop(answer[0], ()):
                waiting.caller.answer(waiting.finish(answer))
                self._count -= 1
        if not asked:
            del self._asked[number]

    def _single_answered(self, number: int, rest: list[Any]) -> None:
        single = self._singles.pop(number, None)
        if single is None:
            return  # it was given up
        self._count -= 1
        if isinstance(rest[0], int):
            single.caller.answer(pack_error(single.sequence, from_wire(-rest[0], *rest[1:])))
        else:
            single.caller.answer(single.finish(rest[0]))

    def coordinator_changed(self) -> None:
        """The coordinator is another process, and knows of no question: callers ask again."""
        for asked in self._asked.values():
            for waiting in [waiting for group in asked.values() for waiting in group]:
                waiting.caller.answer(pack_error(waiting.sequence, LeaderChangedError()))
                self._count -= 1
        self._asked.clear()
        for single in self._singles.values():
            single.caller.answer(pack_error(single.sequence, LeaderChangedError()))
        self._count -= len(self._singles)
        self._singles.clear()

    def give_up_overdue(self, now_s: float) -> None:
        """Answers those whose time is over."""
        for number, asked in list(self._asked.items()):
            for lease_id, group in list(asked.items()):
                kept = [waiting for waiting in group if waiting.deadline_s > now_s]
                for waiting in group:
                    if waiting.deadline_s <= now_s:
                        waiting.caller.answer(pack_error(waiting.sequence, TimeoutError()))
                        self._count -= 1
                if kept:
                    asked[lease_id] = kept
                else:
                    del asked[lease_id]
            if not asked:
                del self._asked[number]
        for number, single in list(self._singles.items()):
            if single.deadline_s <= now_s:
                single.caller.answer(pack_error(single.sequence, TimeoutError()))
                self._count -= 1
                del self._singles[number]

    def _ask(self, single: _Single) -> int:
        if self._count >= MAX_WAITING:
            raise OverloadedError
        self._count += 1
        self._number += 1
        self._singles[self._number] = single
        return self._number

    def _wait(self, waiting: dict[int, list[_Waiting]], lease_id: int, one: _Waiting) -> None:
        if self._count >= MAX_WAITING:
            raise OverloadedError
        self._count += 1
        waiting.setdefault(lease_id, []).append(one)
