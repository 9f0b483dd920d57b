"""HTTP/1.1 that is loaded when the doors are open already: gRPC and native clients need not wait for it.

The library behind it takes a third of a second to import, which was a third of a worker's start. Connections that come
before it is there are kept, with what they have said, and served when it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from oarlock.workers.etcd_door import Http1Port


class LateHttp1:
    """An ``Http1Port`` that becomes another one. Not thread-safe.

    Invariant: nobody waits once the other one is there.

    Args:
        make: makes that one, in the loop.
        modules: what it needs, imported on a thread before: the loop goes on meanwhile.
    """

    def __init__(self, make: Callable[[], Http1Port], modules: Sequence[str]) -> None:
        self._make = make
        self._modules = modules
        self._port: Http1Port | None = None
        self._waiting: list[Waiting] = []
        self._loading: asyncio.Task[None] | None = None
        self._is_draining = False

    async def start(self) -> None:
        """Begins to load; returns at once."""
        self._loading = asyncio.get_running_loop().create_task(self._load())

    async def loaded(self) -> None:
        """Returns once it serves, or has been found to be unable to, which the loop's exception handler is told."""
        if self._loading is not None:
            await self._loading

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        if self._port is not None:
            return self._port.protocol()
        waiting = Waiting()
        self._waiting.append(waiting)  # as many as the door admits
        return waiting

    def drain(self) -> None:
        """Takes no more requests; those under way go on, but for streams."""
        self._is_draining = True
        if self._port is not None:
            self._port.drain()

    async def stop(self, timeout_s: float) -> None:
        """Ends all connections; what is being loaded is loaded before.

        Args:
            timeout_s: for clients to take the last of their answers.
        """
        await self.loaded()
        if self._port is not None:
            await self._port.stop(timeout_s)

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="import") as thread:
                for module in self._modules:
                    await loop.run_in_executor(thread, import_module, module)
            port = self._make()
            await port.start()
        except Exception as problem:
            loop.call_exception_handler({"message": "HTTP/1.1 cannot be served", "exception": problem})
            return
        self._port = port
        if self._is_draining:
            port.drain()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.go_on(port)


class Waiting(asyncio.Protocol):
    """A connection whose protocol is being loaded. It is not read from meanwhile."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps it."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "pause_reading")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one by its methods
        self._transport.pause_reading()  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        """Keeps what it said before it was waiting."""
        self._said += bytes(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It did not wait."""
        self._transport = None

    def go_on(self, port: Http1Port) -> None:
        """Hands it over."""
        transport, self._transport = self._transport, None
        if transport is None or transport.is_closing():
            return
        protocol = port.protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._said)
        transport.resume_reading()
