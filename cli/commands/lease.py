"""``oarlock lease grant|revoke|timetolive|list|keep-alive``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from oarlock.cli.errors import BadArgumentsError, BadConnectionError, CommandError
from oarlock.cli.gotext import parse_int
from oarlock.cli.groups import PrefixGroup, client_command
from oarlock.cli.invocation import Invocation, write
from oarlock.cli.options import flag, words
from oarlock.cli.output.results import LeaseList, LeaseRevoked
from oarlock.cli.requests import lease_id

if TYPE_CHECKING:
    from oarlock import Client, LeaseKeepAliveResult

RETRY_PAUSE_S = 0.5
"""Between renewals that did not get through: a leader change takes about a second, so two or three tries bridge it."""


@click.group("lease", cls=PrefixGroup)
def lease() -> None:
    """Grant, revoke, renew and show leases."""


def _only_id(words: tuple[bytes, ...], missing: str) -> int:
    if len(words) != 1:
        raise BadArgumentsError(missing)
    return lease_id(words[0].decode(errors="replace"), "bad lease ID arg")


@client_command("grant", [words("TTL")], lease)
def grant(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """Grant a lease of TTL seconds."""
    from oarlock import OarlockError, calls

    if len(words) != 1:
        raise BadArgumentsError("lease grant command needs TTL argument")
    try:
        ttl_s = parse_int(words[0].decode(errors="replace"))
    except ValueError as problem:
        raise BadArgumentsError(f"bad TTL ({problem})") from None
    printer = invocation.printer("lease_grant")
    with invocation.client() as client:
        try:
            result = client.call(calls.lease_grant(ttl_s))
        except OarlockError as problem:
            raise CommandError(f"failed to grant lease ({problem.message})") from problem
    printer.lease_grant(result)


@client_command("revoke", [words("LEASE_ID")], lease)
def revoke(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """Revoke a lease, and delete the keys that are attached to it."""
    from oarlock import OarlockError

    lease_id = _only_id(words, "lease revoke command needs 1 argument")
    printer = invocation.printer("lease_revoke")
    with invocation.client() as client:
        try:
            header = client.revoke_lease(lease_id)
        except OarlockError as problem:
            raise CommandError(f"failed to revoke lease ({problem.message})") from problem
    printer.lease_revoke(LeaseRevoked(header, lease_id))


@client_command("timetolive", [flag("--keys", help="Print the attached keys too."), words("LEASE_ID")], lease)
def timetolive(invocation: Invocation, words: tuple[bytes, ...], keys: bool) -> None:
    """Print how long a lease has to live."""
    lease_id = _only_id(words, "lease timetolive command needs lease ID as argument")
    printer = invocation.printer("lease_time_to_live")
    with invocation.client() as client:
        result = client.lease_time_to_live(lease_id, keys)
    printer.lease_time_to_live(result, keys)


@client_command("list", [words("")], lease)
def list_leases(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """List all leases."""
    from oarlock import calls

    if words:
        raise BadArgumentsError("lease list command does not accept arguments")
    printer = invocation.printer("lease_list")
    call = calls.lease_list()
    with invocation.client() as client:
        result = client.call(calls.Call(call.op, call.arguments, lambda header, ids: LeaseList(header, list(ids[0]))))
    printer.lease_list(result)


@client_command("keep-alive", [flag("--once", help="Renew once, and end."), words("LEASE_ID")], lease)
def keep_alive(invocation: Invocation, words: tuple[bytes, ...], once: bool) -> None:
    """Renew a lease again and again, until it is gone."""
    lease_id = _only_id(words, "lease keep-alive command needs lease ID as argument")
    printer = invocation.printer("lease_keep_alive")
    with invocation.client() as client:
        if once:
            printer.lease_keep_alive(_renew_once(client, lease_id))
            return
        deadline = time.monotonic() + invocation.settings.command_timeout_s
        while result := _renew(invocation, client, lease_id, deadline):
            deadline = time.monotonic() + result.ttl_s
            printer.lease_keep_alive(result)
            invocation.wait(result.ttl_s / 3)
    write(f"lease {lease_id:016x} expired or revoked.\n".encode())


def _renew_once(client: Client, lease_id: int) -> LeaseKeepAliveResult:
    from oarlock import LeaseNotFoundError

    result = client.refresh_lease(lease_id)
    if result.ttl_s <= 0:
        raise BadConnectionError(LeaseNotFoundError.text)  # etcdctl gives exit code 2 here
    return result


def _renew(invocation: Invocation, client: Client, lease_id: int, deadline: float) -> LeaseKeepAliveResult | None:
    """One renewal, tried until the lease cannot be alive any more; None where it is gone."""
    from oarlock import ServerError

    while True:
        try:
            result = client.refresh_lease(lease_id)
        except ServerError:
            if time.monotonic() >= deadline:
                return None
            invocation.wait(RETRY_PAUSE_S)
        else:
            return result if result.ttl_s > 0 else None
