"""The one background thread of a synchronous client: an event loop with an asyncio client for watches and renewals.

It is started by the first watch or kept-alive lease, and ended and joined by ``close``. Only then is asyncio imported:
that costs as much as all the rest of a program that makes one request and ends (the command line).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from oarlock.settings import Settings
from oarlock.sync_driver import Driver
from oarlock.wire.errors import ClosedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from oarlock import aio

T = TypeVar("T")
JOIN_TIMEOUT_S: Final = 10.0
"""A callback of the user's that runs longer than this when the client is closed is left behind (a daemon thread)."""


class Background:
    """Owns the thread, its loop and the asyncio client on it."""

    def __init__(self, settings: Settings, driver: Driver) -> None:
        self._settings: Final = settings
        self._driver: Final = driver
        self._lock: Final = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: AbstractEventLoop | None = None
        self._client: aio.Client | None = None
        self._closed = False
        self._pid: Final = os.getpid()

    def run(self, work: Callable[[aio.Client], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine on the loop, and waits for its result.

        Raises:
            ClosedError: the client is closed, or was forked.
        """
        import asyncio
        from concurrent.futures import CancelledError

        loop, client = self._started()
        client.saw_revision(self._driver.revision)
        try:
            return asyncio.run_coroutine_threadsafe(work(client), loop).result()
        except CancelledError:
            raise ClosedError() from None

    def call(self, function: Callable[[], object]) -> None:
        """Calls ``function`` on the loop, soon; not at all once it is closed."""
        with self._lock:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Ends the client, its watches and renewals, and the thread. May be repeated, also on the thread itself."""
        with self._lock:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
            loop, thread = self._loop, self._thread
            if loop is not None:
                loop.call_soon_threadsafe(loop.stop)
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN_TIMEOUT_S)

    def _started(self) -> tuple[AbstractEventLoop, aio.Client]:
        with self._lock:
            if self._closed or os.getpid() != self._pid:
                raise ClosedError()
            if self._loop is None or self._client is None:
                ready = threading.Event()
                self._thread = threading.Thread(target=self._serve, args=(ready,), name="oarlock-client", daemon=True)
                self._thread.start()
                ready.wait()
            assert self._loop is not None
            assert self._client is not None
            return self._loop, self._client

    def _serve(self, ready: threading.Event) -> None:
        import asyncio

        loop = asyncio.new_event_loop()
        try:
            self._client = loop.run_until_complete(self._make_client())
            self._loop = loop
            ready.set()
            loop.run_forever()
            loop.run_until_complete(self._end())
        finally:
            loop.close()

    async def _make_client(self) -> aio.Client:
        from oarlock import aio

        return aio.Client(self._settings, seen_revision=self._driver.revision)

    async def _end(self) -> None:
        """Closes the client, lets everybody hear of it, and cancels who does not."""
        import asyncio

        assert self._client is not None
        await self._client.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=1.0)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
