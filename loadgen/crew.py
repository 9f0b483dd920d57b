"""Runs a load in several processes, driven over ZeroMQ by this one, the captain; or in this one alone.

Each process is a program of its own (``crew_member``), started by exec because ZeroMQ contexts do not survive a fork.
It connects to the captain's ROUTER on a path in a private directory, gets its job, makes ready, waits for the others,
and tells its outcome. The captain ends all of them, whatever happens; and they die with it (``die_with_parent``).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from asyncio import Future
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import zmq
import zmq.asyncio

from oarlock.loadgen.job import Hooks, Job, find_workload
from oarlock.loadgen.muster import Muster, Sending
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.runner import Progress, no_progress
from oarlock.wire.frames import pack, unpack
from oarlock.wire.process import PARENT_FD, PARENT_PID

MAX_PROCESSES: Final = 64
"""More than the cores of most machines; each is an interpreter of some 40 MB."""
POLL_MS: Final = 50
"""How often the captain looks for the dead and at the time, where nothing is said."""
GOING_S: Final = 5.0
"""How long a process that has told its outcome may take to end before it is killed."""


async def run_job(
    job: Job, processes: int = 1, progress: Progress = no_progress, stop: Future[None] | None = None
) -> Outcome:
    """Carries ``job`` out in ``processes`` processes, or, if that is 1, in this one.

    Args:
        job: the whole load (share 0 of 1).
        processes: how many share it.
        progress: told of all of them together, a few times a second.
        stop: when it is done, no more is sent, and the outcome is that of what was.

    Raises:
        CrewError: a process failed, or died.
        OarlockError: what the workload raised, in one process.
        ValueError: the job cannot be, or not in so many processes.
    """
    if not 1 <= processes <= MAX_PROCESSES:
        raise ValueError(f"processes must be 1 to {MAX_PROCESSES}, not {processes}")
    run = find_workload(job.workload)
    if processes == 1:
        return await run(job, Hooks(stop or asyncio.get_running_loop().create_future(), progress=progress))
    muster = Muster([job.for_share(share, processes) for share in range(processes)], time.monotonic())
    with tempfile.TemporaryDirectory(prefix="oarlock-bench-") as directory, zmq.asyncio.Context() as context:
        address = f"ipc://{directory}/captain"
        with context.socket(zmq.ROUTER) as router:
            router.linger = 0
            router.bind(address)
            with _children(address, processes) as children:
                return await _command(muster, router, children, progress, stop)


async def _command(
    muster: Muster,
    router: zmq.asyncio.Socket,
    children: list[subprocess.Popen[bytes]],
    progress: Progress,
    stop: Future[None] | None,
) -> Outcome:
    """Hears the processes and answers them until all have told their outcome."""
    stopping = False
    while (outcome := muster.outcome) is None:
        gone = [(share, child.returncode) for share, child in enumerate(children) if child.poll() is not None]
        if await router.poll(POLL_MS):
            name, frame = await router.recv_multipart()
            await _send(router, muster.hear(int(name), unpack(frame), time.monotonic()))
        else:  # all that the dead had sent was heard
            for share, exit_code in gone:
                muster.ended(share, exit_code)
        muster.check(time.monotonic())
        if stop is not None and stop.done() and not stopping:
            stopping = True
            await _send(router, muster.stop())
        progress(*muster.progress)
    return outcome


async def _send(router: zmq.asyncio.Socket, sendings: Iterable[Sending]) -> None:
    for share, message in sendings:
        await router.send_multipart([b"%d" % share, pack(message)])


@contextmanager
def _children(address: str, processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Starts the processes; ends them with the block: patiently after an outcome, at once after an error."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    children: list[subprocess.Popen[bytes]] = []
    patience_s = 0.0
    try:
        with theirs:
            children.extend(_start(address, share, theirs.fileno()) for share in range(processes))
        yield children
        patience_s = GOING_S
    finally:
        _end(children, time.monotonic() + patience_s)
        ours.close()


def _start(address: str, share: int, parent_fd: int) -> subprocess.Popen[bytes]:
    environment: dict[str, Any] = os.environ | {PARENT_FD: str(parent_fd), PARENT_PID: str(os.getpid())}
    return subprocess.Popen(
        [sys.executable, "-m", "oarlock.loadgen.crew_member", address, str(share)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(parent_fd,),
    )


def _end(children: list[subprocess.Popen[bytes]], deadline_s: float) -> None:
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline_s - time.monotonic()))
        child.kill()  # nothing where it has ended
        child.wait()
