"""A process of a crew: ``python -m oarlock.loadgen.crew_member ADDRESS SHARE``, started by ``crew`` alone."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import zmq
import zmq.asyncio

from oarlock.loadgen.job import Hooks, Job, find_workload
from oarlock.loadgen.muster import BEAT_S, REFUSED
from oarlock.loadgen.runner import run
from oarlock.wire.errors import OarlockError
from oarlock.wire.frames import pack, unpack
from oarlock.wire.process import die_with_parent, raise_descriptor_limit

LINGER_MS = 10_000
"""How long the last message may take to be read by the captain, with which it dies anyway."""


class Member:
    """One process's talk with the captain. Made on the loop; ``close`` is its owner's duty."""

    def __init__(self, context: zmq.asyncio.Context, address: str, share: int) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = LINGER_MS
        self._socket.routing_id = b"%d" % share
        self._socket.connect(address)
        self._started = asyncio.Event()
        self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._progress = 0, 0.0
        self._helpers: list[asyncio.Task[None]] = []

    async def job(self) -> Job:
        """Asks for the job, and goes on to listen and to tell of the progress meanwhile."""
        await self.send("hello")
        _, job = unpack(await self._socket.recv())
        self._helpers = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        return Job.from_wire(job)

    def hooks(self) -> Hooks:
        """For the workload."""
        return Hooks(self._stop, self._start, self._note)

    async def send(self, *message: Any) -> None:
        """Tells the captain."""
        await self._socket.send(pack(list(message)))

    def close(self) -> None:
        """Ends it; what was sent is still delivered."""
        for helper in self._helpers:
            helper.cancel()
        self._socket.close()

    async def _start(self) -> None:
        await self.send("ready")
        await self._started.wait()

    def _note(self, ended: int, elapsed_s: float) -> None:
        self._progress = ended, elapsed_s

    async def _listen(self) -> None:
        while True:
            message = unpack(await self._socket.recv())
            if message == ["start"]:
                self._started.set()
            elif message == ["stop"] and not self._stop.done():
                self._started.set()  # a load that is stopped at the barrier ends without having begun
                self._stop.set_result(None)

    async def _beat(self) -> None:
        while True:
            ended, elapsed_s = self._progress
            await self.send("progress", ended, float(elapsed_s))
            await asyncio.sleep(BEAT_S)


async def work(address: str, share: int) -> None:
    """Does the job that the captain at ``address`` has for this share, and tells what came of it."""
    with zmq.asyncio.Context() as context:
        member = Member(context, address, share)
        try:
            job = await member.job()
            outcome = await find_workload(job.workload)(job, member.hooks())
            await member.send("outcome", outcome.to_wire())
        except OarlockError as problem:
            await member.send("failed", type(problem).__name__, problem.message)
        except ValueError as problem:
            await member.send("failed", REFUSED, str(problem))
        except Exception as problem:
            await member.send("failed", "bug", f"{type(problem).__name__}: {problem}")
            raise
        finally:
            member.close()


def main() -> None:
    """Runs it; the captain says when to end, and not the terminal."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_descriptor_limit()
    address, share = sys.argv[1:]
    run(work(address, int(share)))


if __name__ == "__main__":
    main()
