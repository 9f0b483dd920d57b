"""A server of one's own that is measured over several lives: stopped, killed, and started again at its place."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from oarlock.loadgen.own_server import OwnServer, Place, answering, free_ports, launch, stop, tree_of

MIB: Final = float(1 << 20)


class Subject:
    """The server, which is ended and started again at its place, with the same data. Its owner stops it.

    Args:
        directory: for its data, and what it says; must exist.
        arguments: further arguments of ``oarlock serve``.
    """

    def __init__(self, directory: Path, arguments: Sequence[str]) -> None:
        self._place = Place.below(directory)
        (self.http_port,) = free_ports(1)
        self._arguments = ["--listen-client-urls", f"http://127.0.0.1:{self.http_port}", *arguments]
        self._server: OwnServer | None = None
        self.endpoint = self._place.endpoint
        self.directory = directory

    async def start(self) -> None:
        """Starts it, and waits until it answers.

        Raises:
            RuntimeError: it does not.
        """
        self._server = launch(self._place, self._arguments)
        await answering(self._server)

    async def stop(self) -> None:
        """Ends it in order, if it runs."""
        if self._server is not None:
            await stop(self._server.process)

    def kill(self) -> None:
        """Ends all its processes at once, as a power cut would."""
        assert self._server is not None
        for process in tree_of(self._server.process.pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._server.process.wait()

    def memory_mib(self) -> float:
        """Proportional set size of all its processes."""
        assert self._server is not None
        return round(self._server.usage().pss_bytes / MIB, 1)
