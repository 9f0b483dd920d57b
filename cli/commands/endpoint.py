"""``oarlock endpoint status|health|hashkv``: each endpoint is asked on its own, all at the same time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import click

from oarlock.cli.errors import BadArgumentsError, CommandError, ReportedError
from oarlock.cli.groups import PrefixGroup, client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import flag, number, words
from oarlock.cli.output.results import EndpointHashKv, EndpointHealth, EndpointStatus

if TYPE_CHECKING:
    from oarlock import Client, OarlockError

T = TypeVar("T")
MAX_PARALLEL: Final = 16
"""Threads that ask endpoints: more than any sensible cluster has members."""
CLUSTER: Final = flag("--cluster", help="Ask all members of the cluster, where --endpoints name only some of them.")


@click.group("endpoint", cls=PrefixGroup)
def endpoint() -> None:
    """Ask each endpoint for its status, health or hash."""


def _endpoints(invocation: Invocation, cluster: bool) -> list[str]:
    """The endpoints given; with ``--cluster`` those of all members that have started, learnt from one of them.

    Raises:
        OarlockError: none of the endpoints given can tell.
    """
    if not cluster:
        return list(invocation.settings.endpoints)
    with invocation.client() as client:
        members = client.member_list(linearizable=False)  # also without a quorum: that may be what is to be seen
    urls = [url for member in members for url in member.native_urls]
    if not urls:
        raise CommandError("no member has told yet where its clients connect: try again")
    return urls


def _ask_all(
    invocation: Invocation, endpoints: list[str], ask: Callable[[str, Client], T]
) -> list[tuple[str, T | OarlockError]]:
    """What each endpoint answered, or why it did not, in the order of the endpoints."""
    from concurrent.futures import ThreadPoolExecutor

    from oarlock import OarlockError

    def one(endpoint: str) -> tuple[str, T | OarlockError]:
        try:
            with invocation.client(endpoint) as client:
                return endpoint, ask(endpoint, client)
        except OarlockError as problem:
            return endpoint, problem

    with ThreadPoolExecutor(MAX_PARALLEL, thread_name_prefix="endpoint") as pool:
        return list(pool.map(one, endpoints))


def _reached(answers: list[tuple[str, T | OarlockError]], wanted: str) -> tuple[list[T], list[OarlockError]]:
    """Parts answers from failures, and says the latter on standard error."""
    from oarlock import OarlockError

    good: list[T] = []
    bad: list[OarlockError] = []
    for endpoint, answer in answers:
        if isinstance(answer, OarlockError):
            print(f"Failed to get the {wanted} of endpoint {endpoint} ({answer.message})", file=sys.stderr)
            bad.append(answer)
        else:
            good.append(answer)
    return good, bad


def _no_arguments(words: tuple[bytes, ...], name: str) -> None:
    if words:
        raise BadArgumentsError(f"endpoint {name} command does not accept arguments: see --endpoints")


@client_command("status", [CLUSTER, words("")], endpoint)
def status(invocation: Invocation, words: tuple[bytes, ...], cluster: bool) -> None:
    """Print the status of each endpoint.

    \b
    Columns: endpoint, member ID, version, size of the database, is leader, is learner, raft term, raft index,
    raft applied index, errors
    """
    _no_arguments(words, "status")
    printer = invocation.printer("endpoint_status")
    answers = _ask_all(
        invocation,
        _endpoints(invocation, cluster),
        lambda endpoint, client: EndpointStatus(endpoint, client.status()),
    )
    good, bad = _reached(answers, "status")
    printer.endpoint_status(good)
    if bad:
        raise ReportedError


@client_command(
    "hashkv", [CLUSTER, number("--rev", help="Hash the store as of this revision; 0 is now."), words("")], endpoint
)
def hashkv(invocation: Invocation, words: tuple[bytes, ...], cluster: bool, rev: int) -> None:
    """Print the hash of each endpoint's store.

    Members with the same data have the same hash at the same --rev.
    """
    _no_arguments(words, "hashkv")
    printer = invocation.printer("endpoint_hashkv")
    answers = _ask_all(
        invocation,
        _endpoints(invocation, cluster),
        lambda endpoint, client: EndpointHashKv(endpoint, client.hash_kv(rev)),
    )
    good, bad = _reached(answers, "hash")
    printer.endpoint_hashkv(good)
    if bad:
        raise CommandError(bad[0].message)


@client_command("health", [CLUSTER, words("")], endpoint)
def health(invocation: Invocation, words: tuple[bytes, ...], cluster: bool) -> None:
    """Check the health of each endpoint.

    A healthy endpoint answers a linearizable read, and no alarm is raised. The exit code is 1 if one is not healthy.
    """
    _no_arguments(words, "health")
    printer = invocation.printer("endpoint_health")
    endpoints = _endpoints(invocation, cluster)
    asked_ns = time.monotonic_ns()
    results = [
        answer if isinstance(answer, EndpointHealth) else _unhealthy(endpoint, answer, asked_ns)
        for endpoint, answer in _ask_all(invocation, endpoints, _check)
    ]
    printer.endpoint_health(results)
    if not all(result.healthy for result in results):
        raise CommandError("unhealthy cluster")


def _check(endpoint: str, client: Client) -> EndpointHealth:
    begin_ns = time.monotonic_ns()
    client.get("health")
    took_ns = time.monotonic_ns() - begin_ns
    alarms = client.alarms()
    if alarms:
        names = "".join(f"{alarm.alarm.name} " for alarm in alarms)
        return EndpointHealth(endpoint, False, took_ns, f"Active Alarm(s): {names}")
    return EndpointHealth(endpoint, True, took_ns)


def _unhealthy(endpoint: str, problem: OarlockError, asked_ns: int) -> EndpointHealth:
    return EndpointHealth(endpoint, False, time.monotonic_ns() - asked_ns, problem.message)
