"""``oarlock alarm list|disarm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oarlock.cli.errors import BadArgumentsError
from oarlock.cli.groups import PrefixGroup, client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import words
from oarlock.cli.output.results import Alarms
from oarlock.results import Header

if TYPE_CHECKING:
    from oarlock.calls import Call


@click.group("alarm", cls=PrefixGroup)
def alarm() -> None:
    """List and disarm alarms."""


@client_command("list", [words("")], alarm)
def list_alarms(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """List the alarms that are raised."""
    if words:
        raise BadArgumentsError("alarm list command accepts no arguments")
    printer = invocation.printer("alarms")
    with invocation.client() as client:
        printer.alarms(client.call(_alarms_with_header()))


def _alarms_with_header() -> Call[Alarms]:
    from oarlock import AlarmAction, calls

    call = calls.alarm(AlarmAction.GET)

    def decode(header: Header, result: list[list[int]]) -> Alarms:
        return Alarms(header, call.decode(header, result))

    return calls.Call(call.op, call.arguments, decode)


@client_command("disarm", [words("")], alarm)
def disarm(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """Disarm all alarms, and print them."""
    if words:
        raise BadArgumentsError("alarm disarm command accepts no arguments")
    printer = invocation.printer("alarms")
    disarmed = []
    with invocation.client() as client:
        for raised in client.alarms():
            disarmed += client.disarm_alarm(raised.alarm, raised.member_id)
    printer.alarms(Alarms(None, disarmed))
