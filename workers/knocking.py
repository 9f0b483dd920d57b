"""Wakes the coordinator for a proposal that is about to be made."""

from __future__ import annotations

from collections.abc import Callable


class Knocking:
    """A knock at the coordinator's door when the next write of a client has come that makes one after another, and has
    not been looked at yet.

    A coordinator that sleeps takes some 25 µs to wake up, which is what a request takes to become a proposal. It does
    not stay awake for a client of etcd's door as it does for a native one: such clients have several threads, and would
    run where the worker does instead. Measured on 2 cores, a lone put: 431 µs where the coordinator stays awake, 385
    where it is knocked at.

    Args:
        knock: does it.

    Attributes:
        is_due: whether the next bytes of a client are probably such a write.
    """

    __slots__ = ("_knock", "is_due")

    def __init__(self, knock: Callable[[], None]) -> None:
        self._knock = knock
        self.is_due = False

    def bytes_came(self) -> None:
        """A client has sent something; to be called where ``is_due``, before it is looked at."""
        self.is_due = False
        self._knock()
