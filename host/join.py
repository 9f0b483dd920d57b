"""``oarlock serve --join HOST:PORT``: becoming a voting member of a cluster that runs, in one command.

Three steps. Before anything is started, the cluster is told of this member, which it takes in as a learner. Then the
server starts as a member of an existing cluster would, and catches up. Meanwhile the cluster is asked again and again
to let it vote, until it does. Each step finds out what an earlier start has done already, so that the same command
line is right at every start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oarlock.host.settings import Settings
from oarlock.wire.errors import (
    ConfigurationError,
    LearnerNotReadyError,
    OarlockError,
    PeerUrlExistsError,
    ServerError,
    TooManyLearnersError,
)
from oarlock.wire.logs import get_logger

if TYPE_CHECKING:
    from oarlock import Client, Member

log = get_logger(__name__)

PATIENCE_S: Final = 60.0
"""How long the cluster may be without a leader, or busy with another learner, before joining it is given up."""
PAUSE_S: Final = 0.5
"""Between two attempts, so that a cluster in trouble is not asked more often than a person would."""


def prepare(settings: Settings, wait: Callable[[float], None] = time.sleep) -> Settings:
    """Makes this server known to the cluster that it is to join, where its data does not say that it is.

    Args:
        settings: ``join`` not empty; the data directory is ours already.
        wait: sleeps for so many seconds.

    Returns:
        The settings with which to start: those of a member of an existing cluster.

    Raises:
        ConfigurationError: the cluster cannot be reached, or does not take this member in; says why, and what to do.
    """
    from oarlock.coordinator.identity import FILE_NAME

    urls = _own_urls(settings)
    if (Path(settings.data_dir) / FILE_NAME).exists():
        return settings
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            members = _introduce(settings, urls)
        except (ServerError, TooManyLearnersError, PeerUrlExistsError) as problem:
            # The last one: an earlier attempt has got through, but the list that we saw did not show it yet.
            if time.monotonic() > deadline_s:
                raise ConfigurationError(f"join {', '.join(settings.join)}: {problem.message}") from problem
            log.info("the cluster cannot be joined yet", reason=problem.message)
            wait(PAUSE_S)
            continue
        except ConfigurationError:
            raise
        except OarlockError as problem:
            raise ConfigurationError(f"join {', '.join(settings.join)}: {problem.message}") from problem
        cluster = tuple(
            f"{member.name or format(member.id, 'x')}={url}" for member in members for url in member.peer_urls
        )
        return replace(settings, initial_cluster=cluster, initial_cluster_state="existing")


def _own_urls(settings: Settings) -> tuple[str, ...]:
    return settings.initial_advertise_peer_urls or settings.listen_peer_urls


def _introduce(settings: Settings, urls: tuple[str, ...]) -> list[Member]:
    """Adds this member as a learner if it is not one already; the members then."""
    import oarlock

    with oarlock.connect(*settings.join) as client:
        listed = client.member_list(linearizable=False)  # without a quorum there is nothing to add, but much to say
        known = _find(listed, urls)
        if known is None:
            return _add(client, settings.name, urls)
        if known.name:
            raise ConfigurationError(
                f"join: the cluster has a member at {', '.join(urls)} ({known.name}, {known.id:x}) that has run "
                f"before, but data-dir {settings.data_dir} has no data: restore them, or remove that member with "
                f"`oarlock member remove {known.id:x}` and start again"
            )
        return listed.members


def _add(client: Client, name: str, urls: tuple[str, ...]) -> list[Member]:
    added = client.member_add(urls, name=name, learner=True)
    log.info("added to the cluster as a learner", member=f"{added.member.id:x}")
    return added.members


def _find(members: Iterable[Member], urls: Iterable[str]) -> Member | None:
    from oarlock.coordinator.identity import normal_url

    wanted = {normal_url(url) for url in urls}
    return next((member for member in members if {normal_url(url) for url in member.peer_urls} == wanted), None)


async def become_voter(settings: Settings, *own_endpoints: str) -> None:
    """Has this member promoted as soon as it is level; returns when it votes, or is no member any more.

    Args:
        settings: ``join`` not empty.
        own_endpoints: the native port of this server if it has one, asked first: whoever was named for joining may be
            gone by now.
    """
    urls = _own_urls(settings)
    while True:
        try:
            if await _promote((*own_endpoints, *settings.join), urls):
                return
        except LearnerNotReadyError:
            log.debug("not level with the leader yet")
        except OarlockError as problem:
            log.debug("not promoted yet", reason=problem.message)
        await asyncio.sleep(PAUSE_S)


async def _promote(endpoints: tuple[str, ...], urls: tuple[str, ...]) -> bool:
    """Whether there is nothing more to be done."""
    from oarlock import aio

    async with await aio.connect(*endpoints) as client:
        member = _find(await client.member_list(), urls)
        if member is not None and member.is_learner:
            await client.member_promote(member.id)
            log.info("promoted: this member votes from now on", member=f"{member.id:x}")
        return True
