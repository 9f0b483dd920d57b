"""A load in several processes: real ones, against the smallest server there can be."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from oarlock.loadgen.crew import run_job
from oarlock.loadgen.job import Job
from oarlock.loadgen.muster import CrewError
from oarlock.loadgen.runner import Load, run
from tests.loadgen.load_server import LoadServer

PATIENCE_S = 60.0


def members(pid: int) -> list[psutil.Process]:
    """The processes of the crew whose captain this is."""
    return [child for child in psutil.Process(pid).children() if any("crew_member" in part for part in child.cmdline())]


def wait_until(condition: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@contextmanager
def captain(server: LoadServer, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A program with two processes that put without end, once they do."""
    command = [sys.executable, "-m", "oarlock.cli.main", "bench", "put", "--processes", "2", "--duration", "600"]
    with subprocess.Popen(
        [*command, "--endpoints", server.endpoint, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: server.requests or process.poll() is not None)
            assert process.poll() is None
            yield process
        finally:
            process.kill()


def test_two_processes_share_a_load(server: LoadServer) -> None:
    seen: list[int] = []
    job = Job("put", Load((server.endpoint,), clients=3, in_flight=4, total=301), {"key_space_size": 50})
    outcome = run(run_job(job, 2, lambda ended, _: seen.append(ended)))
    assert (outcome.series["put"].sent, outcome.series["put"].latencies.count, server.requests) == (301, 301, 301)
    assert sum(row.ended for row in outcome.timeline.rows()) == 301
    assert seen
    assert members(psutil.Process().pid) == []


def test_a_load_that_is_refused_by_its_processes_is_refused(server: LoadServer) -> None:
    job = Job("put", Load((server.endpoint,), clients=2, total=10), {"value_size": -1})
    with pytest.raises(ValueError, match="not -1"):
        run(run_job(job, 2))


def test_a_server_that_is_not_there_fails_the_load() -> None:
    job = Job("put", Load(("127.0.0.1:1",), clients=2, total=10, timeout_s=0.1))
    with pytest.raises(CrewError, match=r"127\.0\.0\.1:1"):
        run(run_job(job, 2))


def test_a_process_that_dies_fails_the_load_and_ends_the_others(server: LoadServer) -> None:
    async def killing() -> None:
        job = Job("put", Load((server.endpoint,), clients=2, duration_s=600.0))
        load = asyncio.create_task(run_job(job, 2))
        while not (server.requests or load.done()):
            await asyncio.sleep(0.05)
        members(psutil.Process().pid)[0].kill()
        await load

    with pytest.raises(CrewError, match="ended before its load did"):
        run(killing())
    assert members(psutil.Process().pid) == []


def test_the_processes_die_with_their_captain(server: LoadServer) -> None:
    with captain(server) as process:
        crew = members(process.pid)
        process.kill()
        _, alive = psutil.wait_procs(crew, timeout=PATIENCE_S)
    assert (len(crew), alive) == (2, [])


def test_an_interrupt_ends_the_load_and_tells_its_figures(server: LoadServer) -> None:
    with captain(server, "-w", "json") as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert json.loads(said)["requests"] > 0


@pytest.mark.parametrize("processes", [0, 65])
def test_so_many_processes_cannot_be(processes: int) -> None:
    with pytest.raises(ValueError, match=f"not {processes}"):
        run(run_job(Job("put", Load(clients=100, total=100)), processes))
