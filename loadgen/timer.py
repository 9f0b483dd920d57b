"""A timer for event loops that is exact to tens of microseconds.

uvloop and asyncio round time-outs to whole milliseconds, which an open load would take for latency of the server. A
Linux timerfd has no such grain: it is a descriptor that becomes readable at an instant.
"""

from __future__ import annotations

import ctypes
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final

_libc = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC: Final = 1
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK | TFD_CLOEXEC, timerfd_create(2)


class _Times(ctypes.Structure):
    """struct itimerspec: interval and first expiry, seconds and nanoseconds each."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    )


class Timer:
    """Calls ``callback`` on ``loop`` when the time that was set last has passed. Owned, and closed, by its maker.

    Raises:
        OSError: the system has no descriptor left.
    """

    def __init__(self, loop: AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._descriptor: Final[int] = _libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._descriptor < 0:
            problem = ctypes.get_errno()
            raise OSError(problem, f"timerfd_create: {os.strerror(problem)}")
        loop.add_reader(self._descriptor, self._ring)

    def set(self, delay_s: float) -> None:
        """Rings once in ``delay_s`` seconds (0: at once), instead of any time set before."""
        seconds, fraction = divmod(max(delay_s, 0.0), 1)
        nanoseconds = max(int(fraction * 1e9), 1 if seconds == 0 else 0)  # all zeros would disarm it
        times = _Times(0, 0, int(seconds), nanoseconds)
        _libc.timerfd_settime(self._descriptor, 0, ctypes.byref(times), None)

    def close(self) -> None:
        """Never rings again."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _ring(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # it was set again meanwhile
            return
        self._callback()
