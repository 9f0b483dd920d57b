"""A lease as a user of the asyncio client holds it."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final

from oarlock import calls
from oarlock.renewal import Renewal
from oarlock.results import Header, LeaseKeepAliveResult, LeaseTimeToLive
from oarlock.wire.errors import ClosedError, LeaseNotFoundError, OarlockError, RequestError

if TYPE_CHECKING:
    from oarlock.aio import Client


class Lease:
    """A lease that was granted, or ``Client.lease(...)`` of an id that is known. As a context manager it is revoked.

    ``lost`` turns True when the server says that there is no such lease, or while it is kept alive when no renewal was
    answered within its time to live.
    """

    def __init__(self, client: Client, lease_id: int, ttl_s: float, asked_at: float) -> None:
        self.id: Final = lease_id
        self._client: Final = client
        self._renewal: Final = Renewal(ttl_s, asked_at)
        self._task: Task[None] | None = None
        self._lost_event: Final = asyncio.Event()
        self._on_lost: Final[list[Callable[[Lease], object]]] = []

    def __repr__(self) -> str:
        return f"Lease(id={self.id}, ttl_s={self.ttl_s}{', lost' if self.lost else ''})"

    @property
    def ttl_s(self) -> int:
        """The time to live that the server gives it with each renewal, in seconds."""
        return int(self._renewal.ttl_s)

    @property
    def lost(self) -> bool:
        """Whether it is known, or must be feared, to be gone."""
        return self._renewal.lost

    def on_lost(self, callback: Callable[[Lease], object]) -> None:
        """Calls ``callback(lease)`` on the loop, once, when the lease is lost; at once where it is already."""
        if self.lost:
            callback(self)
        else:
            self._on_lost.append(callback)

    async def wait_lost(self) -> None:
        """Waits until it is lost, as long as that takes."""
        await self._lost_event.wait()

    def keep_alive(self) -> None:
        """Renews it from now on, at a third of its time to live, until it is lost, revoked, or stopped."""
        if self._task is None and not self.lost:
            self._client._leases.add(self)
            self._task = asyncio.get_running_loop().create_task(self._keep())

    def stop(self) -> None:
        """Renews it no more; it is left to expire."""
        self._client._leases.discard(self)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def refresh(self, *, timeout_s: float | None = None) -> LeaseKeepAliveResult:
        """Renews it once.

        Raises:
            LeaseNotFoundError: there is no such lease any more.
        """
        asked_at = self._client._driver.now()
        result = await self._client.call(calls.lease_keep_alive(self.id), timeout_s)
        self._renewal.answered(result.ttl_s, asked_at)
        if self.lost:
            self._tell_lost()
        if result.ttl_s <= 0:
            raise LeaseNotFoundError()
        return result

    async def time_to_live(self, keys: bool = False, *, timeout_s: float | None = None) -> LeaseTimeToLive:
        """What is left of it, and its keys where asked for."""
        return await self._client.lease_time_to_live(self.id, keys, timeout_s=timeout_s)

    async def revoke(self, *, timeout_s: float | None = None) -> Header:
        """Ends it, and deletes its keys in one revision.

        Raises:
            LeaseNotFoundError: there is no such lease any more.
        """
        self.stop()
        return await self._client.revoke_lease(self.id, timeout_s=timeout_s)

    async def __aenter__(self) -> Lease:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(LeaseNotFoundError, ClosedError):  # gone already is as good
            await self.revoke()

    async def _keep(self) -> None:
        """Renews at the right times. Each try is bounded, so that the loop ends with the lease at the latest."""
        renewal, now = self._renewal, self._client._driver.now
        while not renewal.lost:
            await asyncio.sleep(max(renewal.renew_at - now(), 0))
            renewal.check(now())
            if renewal.lost:
                break
            try:
                await self.refresh(timeout_s=renewal.attempt_timeout_s(now()))
            except ClosedError:
                return
            except LeaseNotFoundError:
                break
            except RequestError:  # not allowed, or the like: it will not be renewed
                renewal.answered(0, now())
            except OarlockError:
                renewal.failed(now())
        self._tell_lost()

    def _tell_lost(self) -> None:
        if self._lost_event.is_set():
            return
        self._lost_event.set()
        self._client._leases.discard(self)
        for callback in self._on_lost:
            callback(self)
