"""Where the coordinator's loop sleeps: until a socket has something to read, or a tick is due."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import zmq

from oarlock.coordinator.wakefulness import Wakefulness

LOOK_AGAIN_S: Final = 0.1
"""How long a message may be overlooked: other members ask again after more than that."""


class Waiting:
    """Waits for the sockets of one coordinator. Its owner ends it with ``close``.

    ZeroMQ's own poll is a tenth of what a lone write costs the coordinator. A member that is alone hardly ever hears of
    others, so it waits by epoll: for the descriptors, and for the one by which ZeroMQ tells, once, that ``inbox`` may
    have something. Since it tells once, to whoever uses the socket next, all is looked at every ``LOOK_AGAIN_S`` too.

    Args:
        poller: knows all sockets of ZeroMQ's; told here of what is none of them.
        descriptors: what else may have something to read.
        inbox: the socket of ZeroMQ's that a member listens on also while it is alone.
    """

    def __init__(self, poller: zmq.Poller, descriptors: Sequence[int], inbox: zmq.Socket[bytes]) -> None:
        self._poller = poller
        self._descriptors = frozenset(descriptors)
        self._looked_s = 0.0
        self._wakefulness = Wakefulness()
        self._epoll = select.epoll()
        self._epoll.register(inbox.FD, select.EPOLLIN)
        for descriptor in descriptors:
            self._poller.register(descriptor, zmq.POLLIN)
            self._epoll.register(descriptor, select.EPOLLIN)

    def readable(self, timeout_s: float, *, alone: bool) -> Mapping[Any, int]:
        """What has something to read, as the poller names it; nothing after ``timeout_s``, not less than 0, or a moment
        later (see ``Wakefulness``).

        Args:
            alone: there are no links to other members.
        """
        if not alone:
            return dict(self._poller.poll(int(timeout_s * 1000 + 1)))
        begin_s = time.monotonic()
        spin_s = self._wakefulness.spin_s(begin_s)
        found = self._spin(min(timeout_s, spin_s), begin_s) if spin_s else {}
        if not found:
            found = dict(self._epoll.poll(timeout_s))
        now_s = time.monotonic()
        self._wakefulness.waited(now_s - begin_s)
        if found.keys() <= self._descriptors and now_s - self._looked_s < LOOK_AGAIN_S:
            return found
        self._looked_s = now_s
        return dict(self._poller.poll(0))

    def knocked(self, *, has_come: bool) -> None:
        """A worker has knocked: the next wait is without sleep for a moment, unless what it announced has come."""
        self._wakefulness.knocked(time.monotonic(), has_come=has_come)

    def _spin(self, timeout_s: float, begin_s: float) -> dict[int, int]:
        """Looks without sleep, for a moment. Between two looks others have the processor, if they want it."""
        end_s = begin_s + timeout_s
        while not (found := self._epoll.poll(0)) and time.monotonic() < end_s:
            os.sched_yield()
        return dict(found)

    def close(self) -> None:
        """Gives the descriptor back."""
        self._epoll.close()
