"""``oarlock move-leader``."""

from __future__ import annotations

from oarlock.cli.commands.member import parse_member_id
from oarlock.cli.errors import BadArgumentsError
from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import words
from oarlock.cli.output.results import LeaderMoved


@client_command("move-leader", [words("MEMBER_ID")])
def move_leader(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """Hand leadership over to another member.

    The leader must be one of the endpoints.
    """
    if len(words) != 1:
        raise BadArgumentsError("move-leader command needs 1 argument")
    target = parse_member_id(words[0])
    printer = invocation.printer("move_leader")
    endpoint = _leader_endpoint(invocation)
    with invocation.client(endpoint) as client:
        old = client.status().member_id
        printer.move_leader(LeaderMoved(client.move_leader(target), old, target))


def _leader_endpoint(invocation: Invocation) -> str:
    """The endpoint whose member leads. One that cannot be reached leads nobody."""
    from oarlock import OarlockError

    endpoints = invocation.settings.endpoints
    for endpoint in endpoints:
        try:
            with invocation.client(endpoint) as client:
                status = client.status()
        except OarlockError:
            continue
        if status.leader == status.member_id:
            return endpoint
    raise BadArgumentsError(f"no leader endpoint given at [{' '.join(endpoints)}]")
