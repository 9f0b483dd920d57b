"""Alarms, and what they forbid (etcd: ``applierV3Corrupt``, ``applierV3Capped``)."""

from __future__ import annotations

from typing import Any

from oarlock.storage.replica.read import ReadView
from oarlock.storage.replica.write import WriteView
from oarlock.wire.errors import CorruptError, NoSpaceError
from oarlock.wire.operations import Alarm, AlarmAction, Op


class Alarms:
    """The alarms that are active: replicated, kept in the replica, looked up before each write.

    Invariant: the set is what the replica's table holds in the transaction that was looked at last.

    Attributes:
        active: whether there is any, for the common case.
    """

    __slots__ = ("_raised", "active")

    def __init__(self, view: ReadView) -> None:
        self._raised: set[tuple[int, int]] = set(view.alarms())
        self.active = bool(self._raised)

    def has(self, alarm: Alarm) -> bool:
        """Whether any member has raised ``alarm``."""
        return any(kind == alarm for _, kind in self._raised)

    def of_kind(self, alarm: int) -> list[list[int]]:
        """``[member, alarm]`` of the active alarms of a kind (0: of all), in order."""
        return [list(entry) for entry in sorted(self._raised) if alarm in (Alarm.NONE, entry[1])]

    def change(self, view: WriteView, arguments: list[Any]) -> list[list[int]]:
        """Executes an ALARM request; returns the alarms that it names, as etcd does."""
        action, member, alarm = arguments
        if action == AlarmAction.GET:
            return self.of_kind(alarm)
        raised = (member, alarm) in self._raised
        if action == AlarmAction.ACTIVATE and alarm != Alarm.NONE:
            if not raised:
                view.set_alarm(member, alarm, True)
                self._raised.add((member, alarm))
        elif action == AlarmAction.DEACTIVATE and raised:
            view.set_alarm(member, alarm, False)
            self._raised.remove((member, alarm))
        else:
            return []
        self.active = bool(self._raised)
        return [[member, alarm]]

    def check(self, operation: int, arguments: list[Any]) -> None:
        """Refuses what the active alarms forbid. Space that a write would take is judged when it is admitted, by one
        worker; here only the replicated alarm counts, so that all replicas agree.

        Raises:
            CorruptError: any write, under CORRUPT.
            NoSpaceError: what may add a key or a lease, under NOSPACE.
        """
        if operation == Op.ALARM:
            return
        if self.has(Alarm.CORRUPT):
            raise CorruptError
        if self.has(Alarm.NOSPACE) and (operation == Op.LEASE_GRANT or puts_anything([[operation, *arguments]])):
            raise NoSpaceError


def puts_anything(operations: list[Any]) -> bool:
    """Whether there is a PUT among operations, in whichever branch of a transaction."""
    for operation, *arguments in operations:
        if operation == Op.PUT:
            return True
        if operation == Op.TXN and (puts_anything(arguments[1]) or puts_anything(arguments[2])):
            return True
    return False
