"""A lease as a user of the synchronous client holds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final

from oarlock import calls
from oarlock.renewal import Renewal
from oarlock.results import Header, LeaseKeepAliveResult, LeaseTimeToLive
from oarlock.wire.errors import ClosedError, LeaseNotFoundError

if TYPE_CHECKING:
    from oarlock import aio, aio_lease
    from oarlock.background import Background
    from oarlock.sync import Client


class Lease:
    """A lease that was granted. As a context manager it is revoked at the end.

    ``lost`` turns True when the server says that there is no such lease, or while it is kept alive when no renewal was
    answered within its time to live.
    """

    def __init__(self, client: Client, background: Background, lease_id: int, ttl_s: float, asked_at: float) -> None:
        self.id: Final = lease_id
        self._client: Final = client
        self._background: Final = background
        self._renewal: Final = Renewal(ttl_s, asked_at)
        self._keeper: aio_lease.Lease | None = None  # renews it, on the background thread
        self._lost_event: Final = threading.Event()
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
        return self._renewal.lost or self._lost_event.is_set()

    def on_lost(self, callback: Callable[[Lease], object]) -> None:
        """Calls ``callback(lease)``, on the background thread, when the lease is lost; at once where it is already."""
        if self.lost:
            callback(self)
        else:
            self._on_lost.append(callback)

    def wait_lost(self, timeout_s: float) -> bool:
        """Waits until it is lost, ``timeout_s`` at most; whether it is."""
        return self._lost_event.wait(timeout_s)

    def keep_alive(self) -> None:
        """Renews it from now on, at a third of its time to live, until it is lost, revoked, or stopped.

        Raises:
            ClosedError: the client is closed.
        """
        if self._keeper is None and not self.lost:
            self._keeper = self._background.run(self._begin)

    async def _begin(self, client: aio.Client) -> aio_lease.Lease:
        from oarlock.aio_lease import Lease as Keeper

        keeper = Keeper(client, self.id, self._renewal.ttl_s, self._renewal.expires_at - self._renewal.ttl_s)
        keeper.on_lost(lambda _: self._tell_lost())
        keeper.keep_alive()
        return keeper

    def stop(self) -> None:
        """Renews it no more; it is left to expire."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            self._background.call(keeper.stop)

    def refresh(self, *, timeout_s: float | None = None) -> LeaseKeepAliveResult:
        """Renews it once.

        Raises:
            LeaseNotFoundError: there is no such lease any more.
        """
        asked_at = time.monotonic()
        result = self._client.call(calls.lease_keep_alive(self.id), timeout_s)
        self._renewal.answered(result.ttl_s, asked_at)
        if result.ttl_s <= 0:
            self._tell_lost()
            raise LeaseNotFoundError()
        return result

    def time_to_live(self, keys: bool = False, *, timeout_s: float | None = None) -> LeaseTimeToLive:
        """What is left of it, and its keys where asked for."""
        return self._client.lease_time_to_live(self.id, keys, timeout_s=timeout_s)

    def revoke(self, *, timeout_s: float | None = None) -> Header:
        """Ends it, and deletes its keys in one revision.

        Raises:
            LeaseNotFoundError: there is no such lease any more.
        """
        self.stop()
        return self._client.revoke_lease(self.id, timeout_s=timeout_s)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(LeaseNotFoundError, ClosedError):  # gone already is as good
            self.revoke()

    def _tell_lost(self) -> None:
        if not self._lost_event.is_set():
            self._lost_event.set()
            for callback in self._on_lost:
                callback(self)
