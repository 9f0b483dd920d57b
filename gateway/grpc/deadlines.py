"""The deadlines of the calls of one connection."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from oarlock.gateway.grpc.calls import Call

_SLACK = 64
"""So many calls that are over may be kept before they are swept out; beyond it, as many as there are others."""


class Deadlines:
    """Calls by deadline, in a heap; a call that is over stays until its time comes, or until it is swept out.

    Invariant: at most ``2 * open + _SLACK`` entries after an `add`, and each sweep is paid for by as many additions.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Call]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, deadline_s: float, call: Call, open_calls: int) -> None:
        """Watches ``call``; ``open_calls`` is how many are open, this one included."""
        if len(self._heap) >= 2 * open_calls + _SLACK:
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapify(self._heap)
        heappush(self._heap, (deadline_s, call.stream.id, call))

    @property
    def next_s(self) -> float | None:
        """The earliest deadline, None without one."""
        while self._heap and self._heap[0][2].is_over:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def expired(self, now_s: float) -> list[Call]:
        """The calls whose time has come, no longer watched."""
        calls = []
        while self._heap and self._heap[0][0] <= now_s:
            call = heappop(self._heap)[2]
            if not call.is_over:
                calls.append(call)
        return calls
