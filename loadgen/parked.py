"""A program that opens many watches of distinct keys and keeps them: ``python -m oarlock.loadgen.parked URL COUNT``.

It speaks the watch channel (wire/frames.py) by itself, a few dozen bytes a watch, so that a load of hundreds of
thousands of watches weighs on the server alone. It prints the number of watches when all have begun, and ends when
its standard input does.
"""

from __future__ import annotations

import os
import select
import sys
from typing import Final

import click
import zmq

from oarlock.wire.frames import TOKEN_BYTES, pack, unpack

CONNECTIONS: Final = 8
"""Enough for the kernel to spread them over the workers."""
WINDOW: Final = 500
"""Subscriptions on a connection without an answer: libzmq drops what a full pipe (1,000) does not take."""
ANSWER_TIMEOUT_MS: Final = 30_000
PREFIX: Final = b"park/"


class Parked:
    """One connection with its share of the watches.

    Invariant: ``waiting`` holds the tokens of the subscriptions that were sent and not answered, ``WINDOW`` at most.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], url: str, numbers: range) -> None:
        self.socket = context.socket(zmq.XSUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 2 * WINDOW)
        self.socket.connect(url)
        self._numbers = iter(numbers)
        self._waiting: set[bytes] = set()
        self.begun = 0
        self._subscribe()

    @property
    def done(self) -> bool:
        """Whether all watches have begun."""
        return not self._waiting

    def _subscribe(self) -> None:
        while len(self._waiting) < WINDOW and (number := next(self._numbers, None)) is not None:
            token = os.urandom(TOKEN_BYTES)
            self._waiting.add(token)
            self.socket.send(b"\x01" + pack([token, PREFIX + b"%d" % number, b"", 0]))

    def receive(self) -> None:
        """Takes what is there: answers bring on the next subscriptions, the rest is dropped.

        Raises:
            RuntimeError: a watch was refused.
        """
        while int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            frame = self.socket.recv(zmq.NOBLOCK)
            token = frame[:TOKEN_BYTES]
            if token in self._waiting:
                answer = unpack(frame[TOKEN_BYTES:])
                if answer[0] != 0:
                    raise RuntimeError(f"a watch was refused: {answer}")
                self._waiting.remove(token)
                self.begun += 1
        self._subscribe()


@click.command()
@click.argument("url")
@click.argument("count", type=click.IntRange(1))
def main(url: str, count: int) -> None:
    """Open COUNT watches at the watch channel URL (tcp://host:port), and keep them until standard input ends."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    connections = [Parked(context, url, range(first, count, CONNECTIONS)) for first in range(min(CONNECTIONS, count))]
    poller = zmq.Poller()
    for each in connections:
        poller.register(each.socket, zmq.POLLIN)
    while not all(each.done for each in connections):
        if not poller.poll(ANSWER_TIMEOUT_MS):
            raise click.ClickException(f"no answer for {ANSWER_TIMEOUT_MS / 1000:g} s")
        for each in connections:
            each.receive()
    print(sum(each.begun for each in connections), flush=True)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if sys.stdin.fileno() in ready and not _has_input():
            break
        for each in connections:
            each.receive()
    context.destroy(linger=0)


def _has_input() -> bool:
    """False at the end of standard input."""
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return not readable or bool(os.read(sys.stdin.fileno(), 4096))


if __name__ == "__main__":
    main()
