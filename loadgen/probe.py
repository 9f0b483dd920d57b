"""A program that reads one key at a steady rate: ``python -m oarlock.loadgen.probe ENDPOINT RATE``.

It prints "ready" when it has begun, and, when its standard input ends, the longest time from when a read was due to
its answer, in milliseconds: what a bystander suffers from somebody else's heavy request.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import repeat
from typing import Final

import click

from oarlock.loadgen.runner import Load, clients_of, press, run
from oarlock.loadgen.workloads import range_issue

KEY: Final = b"probe"
IN_FLIGHT: Final = 1_000
"""At 200 reads a second, five seconds of silence."""


@click.command()
@click.argument("endpoint")
@click.argument("rate", type=float)
def main(endpoint: str, rate: float) -> None:
    """Read one key at ENDPOINT, RATE times a second, until standard input ends."""
    load = Load((endpoint,), in_flight=IN_FLIGHT, duration_s=3600.0, rate=rate, timeout_s=60.0)
    run(_probe(load))


async def _probe(load: Load) -> None:
    async with clients_of(load) as clients:
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print("ready", flush=True)
        figures = await press(load, [range_issue(clients[0])], repeat((KEY,)), stop=ended)
    print(figures.latencies.highest_ns / 1e6, flush=True)


if __name__ == "__main__":
    main()
