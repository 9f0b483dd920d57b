"""What a request costs in the client itself: ``python -m oarlock.loadgen.client_bench``.

The server is a process that answers with ready-made replies, so that the CPU time of this process is the client's. Each
figure is microseconds a request: of CPU in the client, and of wall-clock time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final

import click
import uvloop
import zmq

import oarlock
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import Op

VALUE: Final = b"v" * 256
SERVER_START_TIMEOUT_S: Final = 10.0
HELLO: Final = {
    "version": "0",
    "protocol": 1,
    "cluster_id": 1,
    "member_id": 1,
    "incarnation": 1,
    "watch_endpoint": "tcp://*:1",
    "max_request_bytes": 1 << 20,
    "max_txn_ops": 128,
}


def _serve(pipe: Pipe) -> None:
    """Answers every get with one key, every put with nothing, until the parent closes the pipe."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        pipe.send(socket.bind_to_random_port("tcp://127.0.0.1"))
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(pipe.fileno(), zmq.POLLIN)
        while all(ready is socket for ready, _ in poller.poll()):
            identity, frame = socket.recv_multipart()
            requests = unpack(frame)[4]
            socket.send_multipart([identity, pack([1, 1, [_reply(request) for request in requests]])])
        socket.close(linger=0)


def _reply(request: list[Any]) -> list[Any]:
    sequence, op = request[:2]
    if op == Op.HELLO:
        return [sequence, 1, HELLO]
    if op == Op.RANGE:
        return [sequence, 5, [[[request[2], VALUE, 2, 5, 4, 0]], False, 1]]
    return [sequence, 5, None]


@contextmanager
def canned_server() -> Iterator[str]:
    """The endpoint of a server process; it ends with the block."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(SERVER_START_TIMEOUT_S):
            raise click.ClickException("the server process did not start")
        yield f"127.0.0.1:{ours.recv()}"
    finally:
        ours.close()
        process.join(SERVER_START_TIMEOUT_S)
        process.terminate()


async def _in_flight(count: int, tasks: int, request: Callable[[int], Awaitable[Any]]) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await request(number)

    await asyncio.gather(*(work() for _ in range(tasks)))


async def _measure_aio(endpoint: str, count: int, tasks: int) -> None:
    async with await oarlock.aio.connect(endpoint, timeout_s=60) as client:
        keys = [b"key-%08d" % number for number in range(1000)]
        requests: dict[str, Callable[[int], Awaitable[Any]]] = {
            "submit(RANGE)": lambda number: client.submit(1, keys[number % 1000]),
            "submit(PUT)": lambda number: client.submit(10, keys[number % 1000], VALUE),
            "get": lambda number: client.get(keys[number % 1000]),
            "put": lambda number: client.put(keys[number % 1000], VALUE),
        }
        for name, request in requests.items():
            await _in_flight(count // 10, tasks, request)
            cpu, wall = time.process_time(), time.perf_counter()
            await _in_flight(count, tasks, request)
            _report(f"aio {name}, {tasks} tasks", count, time.process_time() - cpu, time.perf_counter() - wall)


def _measure_sync(endpoint: str, count: int) -> None:
    with oarlock.connect(endpoint) as client:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(count):
            client.get(b"key")
        _report("sync get, 1 thread", count, time.process_time() - cpu, time.perf_counter() - wall)


def _report(name: str, count: int, cpu_s: float, wall_s: float) -> None:
    click.echo(f"{name:<32} {cpu_s / count * 1e6:8.2f} us CPU {wall_s / count * 1e6:8.2f} us wall")


@click.command()
@click.option("--count", default=100_000, show_default=True, help="Requests a figure.")
@click.option("--tasks", default=1000, show_default=True, help="Requests in flight.")
def main(count: int, tasks: int) -> None:
    """Measures the client against ready-made replies."""
    with canned_server() as endpoint:
        uvloop.run(_measure_aio(endpoint, count, tasks))
        uvloop.run(_measure_aio(endpoint, count // 20, 1))
        _measure_sync(endpoint, count // 20)


if __name__ == "__main__":
    main()
